//! Private keys in PKCS#8 PEM files, and the verification of signatures.
