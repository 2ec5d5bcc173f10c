//! Publish: the revocation list, signed anew before it runs out.
