//! Extensions beyond RFC 5280: UPN, KRB5PrincipalName, SID, template, application policies.
