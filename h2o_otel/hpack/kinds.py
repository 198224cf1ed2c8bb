"""Numbers that the modules of this folder share: kinds of names, policies of the encoder, flaws of fields.

Not compiled: a compiled module imports what it needs into C integers of its own.
"""

from __future__ import annotations

# Kinds of names: 0 for a regular field, pseudo-header fields, regular fields that the codecs look at.
# The bit ``1 << kind`` stands for the pseudo-header field in ``Decoder.pseudo``.
REGULAR, METHOD, SCHEME, AUTHORITY, PATH, STATUS, PROTOCOL = range(7)
CONTENT_LENGTH, HOST, COOKIE, TE, PRIORITY = range(7, 12)

# How the encoder writes a field (RFC 7541 section 6.2).
#   POLICY_INDEX     literal with indexing: the value is likely to come again
#   POLICY_PLAIN     literal without indexing: the value is likely to be new each time
#   POLICY_PRIVATE   as plain, but never indexed by any hop
#   POLICY_COOKIE    private when short (RFC 7541 section 7.1.3), else indexed
#   POLICY_SECRET    as private, whatever the encoder's options are
POLICY_INDEX, POLICY_PLAIN, POLICY_PRIVATE, POLICY_COOKIE, POLICY_SECRET = range(5)

# What can be wrong with a field; 0 is nothing.
FLAWLESS = 0
NAME_EMPTY, NAME_INVALID, CONNECTION_SPECIFIC, PSEUDO_UNKNOWN, VALUE_INVALID = range(1, 6)
METHOD_INVALID, SCHEME_INVALID, AUTHORITY_INVALID, PATH_INVALID, STATUS_INVALID, TE_INVALID, LENGTH_INVALID = range(6, 13)
PSEUDO_AFTER, PSEUDO_TWICE, PSEUDO_TRAILERS = range(13, 16)

# Classes of octets, as bits.
IN_NAME, IN_TOKEN, IN_PATH, IN_AUTHORITY, IN_SCHEME, IN_NUMBER = 1, 2, 4, 8, 16, 32

# What an entry counts beyond its octets (RFC 7541 section 4.1), and the last index of the static table.
ENTRY_OVERHEAD = 32
STATIC_COUNT = 61

# Number of an entry that the encoder's table no longer has.
GONE = -1000
