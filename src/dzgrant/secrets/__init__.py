"""The two secrets of a principal: the producer's, shared with one role of the consumer account, and the consumer's own copy.

Their names follow from the principal alone, so that whoever comes after a crash finds what is there. A name without a
tag of ours is somebody else's secret and is refused. Limits and error codes: Secrets Manager's service model, 2017-10-17.
"""

from dzgrant.secrets.secret import MARK, Kept, Opening, Version, Versions, secret_name
from dzgrant.secrets.secrets import Look, MarkedSecret, Secrets

__all__ = ["MARK", "Kept", "Look", "MarkedSecret", "Opening", "Secrets", "Version", "Versions", "secret_name"]
