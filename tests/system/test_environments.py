"""Environments that come and go, projects with many of them, retained permissions, and custom subscription targets."""

from __future__ import annotations

from dzgrant.localcloud import commands as c
from tests.system.cloud import until
from tests.system.conftest import Start
from tests.system.story import Story


async def test_an_environment_added_later_gets_what_its_project_is_subscribed_to(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    await story.granted(orders)
    first = story.secret().credentials
    later = story.add_environment(events=True)
    await story.cloud.settled()
    await story.reads(orders, of=(orders, items), environment=later)
    second = story.secret(later).credentials
    assert first.username != second.username
    assert await story.logins() == {first.username, second.username}


async def test_an_environment_that_is_not_active_gets_nothing_until_it_is(story: Story) -> None:
    orders = await story.play.create_table("orders")
    slow = story.add_environment(status="CREATING")
    await story.granted(orders)
    assert story.cloud.consumer_secrets(slow) == []
    story.cloud.control.do(c.SetEnvironmentStatus(environment=slow, status="ACTIVE"))
    await story.cloud.settled()
    await story.reads(orders, of=(orders,), environment=slow)


async def test_a_deleted_environment_loses_all(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    stays = story.add_environment()
    await story.granted(orders)
    await story.granted(items)
    login = story.secret().credentials
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment))
    await story.cloud.settled()
    await story.nothing_left(login)
    await story.reads(orders, items, of=(orders, items), environment=stays)


async def test_an_environment_deleted_while_its_approval_is_under_way_keeps_nothing(story: Story) -> None:
    tables = [await story.play.create_table(f"t{number}") for number in range(4)]
    listings = [story.publish(table) for table in tables]
    for number, listing in enumerate(listings):
        story.approve(listing)
        if number == 1:
            # Two approvals are at work when it goes; two more know nothing of that.
            story.cloud.control.do(c.DeleteEnvironment(environment=story.environment))
    await story.cloud.settled()
    await story.nothing_left()
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment, gone=True))
    await story.cloud.settled()
    await story.nothing_left()
    assert await story.logins() == frozenset()


async def test_a_project_with_more_than_one_page_of_environments(story: Story) -> None:
    # DataZone answers with 50 at most.
    others = [story.add_environment() for _ in range(51)]
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    environments = [story.environment, *others]
    secrets = story.cloud.consumer_secrets(*environments)
    assert len(secrets) == len(environments)
    assert await story.logins() == {secret.credentials.username for secret in secrets}
    for environment in (environments[0], environments[49], environments[51]):
        assert await story.play.can_read(story.secret(environment).credentials, orders)
    story.revoke(subscription)
    await story.cloud.settled()
    assert await story.logins() == frozenset()
    assert story.cloud.consumer_secrets(*environments) == []


async def test_retained_permissions_are_revoked_all_the_same_unless_the_settings_honour_them(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    story.revoke(subscription, retain_permissions=True)
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_retained_permissions_stay_where_the_settings_honour_them(own: Story, start: Start) -> None:
    story = own
    with start("worker", DZGRANT_HONOUR_RETAIN_PERMISSIONS="true") as worker:
        await worker.ready()
        orders = await story.play.create_table("orders")
        subscription = await story.granted(orders)
        story.revoke(subscription, retain_permissions=True)
        await story.cloud.settled()
        await story.reads(orders, of=(orders,))


async def test_a_custom_target_hears_granted_and_revoked(story: Story) -> None:
    control = story.cloud.control
    control.do(c.AddTarget(environment=story.environment))
    orders = await story.play.create_table("orders")
    listing = story.publish(orders)
    request = control.do(c.Subscribe(domain=story.domain, listing=listing))
    made = control.do(c.Approve(request=request.id))
    (grant,) = made.grants
    await _answered(story, grant, "GRANTED")
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))

    story.revoke(made.subscription)
    await _answered(story, grant, "REVOKED")
    await story.cloud.settled()
    await story.nothing_left()


async def test_a_custom_target_of_an_environment_without_the_blueprint_gets_access(story: Story) -> None:
    control = story.cloud.control
    foreign = story.add_environment(blueprint="CustomAwsService")
    control.do(c.AddTarget(environment=foreign))
    orders = await story.play.create_table("orders")
    request = control.do(c.Subscribe(domain=story.domain, listing=story.publish(orders)))
    made = control.do(c.Approve(request=request.id))
    (grant,) = made.grants
    await _answered(story, grant, "GRANTED")
    await story.cloud.settled()
    await story.reads(orders, of=(orders,), environment=foreign)
    control.do(c.DeleteGrant(grant=grant))
    await _answered(story, grant, "REVOKED")
    await story.cloud.settled()
    await story.nothing_left(environment=foreign)
    await story.reads(orders, of=(orders,))


async def test_a_custom_target_that_went_before_its_grant_keeps_nothing(own: Story, start: Start) -> None:
    story, control = own, own.cloud.control
    foreign = story.add_environment(blueprint="CustomAwsService")
    control.do(c.AddTarget(environment=foreign))
    orders = await story.play.create_table("orders")
    request = control.do(c.Subscribe(domain=story.domain, listing=story.publish(orders), events=False))
    (grant,) = control.do(c.Approve(request=request.id, events=False)).grants
    # Granted by another process: the worker has never heard of the target.
    with start("reconcile", command=("-m", "dzgrant.cli", "reconcile", "--domain", story.domain)) as once:
        assert await once.ended() == 0, once.log.read_text()
    await _answered(story, grant, "GRANTED")
    await story.reads(orders, of=(orders,), environment=foreign)
    login = story.secret(foreign).credentials

    control.do(c.DeleteEnvironment(environment=foreign, gone=True, events=False))
    control.do(c.DeleteGrant(grant=grant))
    with start("worker") as worker:
        await worker.ready()
        await story.cloud.settled()
    await story.nothing_left(login, environment=foreign)
    await story.reads(orders, of=(orders,))


async def test_a_custom_target_hears_why_a_grant_failed(story: Story) -> None:
    control = story.cloud.control
    control.do(c.AddTarget(environment=story.environment))
    listing = story.publish(story.play.table("misspelt"))
    request = control.do(c.Subscribe(domain=story.domain, listing=listing))
    (grant,) = control.do(c.Approve(request=request.id)).grants
    await _answered(story, grant, "GRANT_FAILED", "misspelt")
    await story.cloud.settled()
    await story.nothing_left()


async def _answered(story: Story, grant: str, status: str, cause: str = "") -> None:
    """Waits until DataZone has this status for each asset of the grant."""
    datazone = story.cloud.client("datazone")

    async def said() -> bool | None:
        answer = datazone.get_subscription_grant(domainIdentifier=story.domain, identifier=grant)
        return (
            all(
                asset["status"] == status and cause in asset.get("failureCause", {}).get("message", "")
                for asset in answer["assets"]
            )
            or None
        )

    await until(said, lambda: datazone.get_subscription_grant(domainIdentifier=story.domain, identifier=grant))
