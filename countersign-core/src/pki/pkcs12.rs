//! PKCS#12 files (RFC 7292) with PBES2, made for one key and its chain.
