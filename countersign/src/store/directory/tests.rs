//! The LDAP store without a directory.
