//! The config of a slapd, as LDIF for `slapadd -n 0`.

use std::{fmt::Write, path::Path};

use super::{ADMIN, ADMIN_PASSWORD, CONFIG_ADMIN, Role, Setup, Slapd, access, replicas};
use crate::support::{
    directory::{SUFFIX, service_dn},
    openssl::Identity,
};

/// All of it.
pub fn ldif(slapd: &Slapd, setup: &Setup) -> String {
    let mut text = global(slapd, setup);
    text += &modules(setup);
    text += "dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n";
    for name in ["core", "cosine", "inetorgperson"] {
        let _ = writeln!(text, "include: file:///etc/ldap/schema/{name}.ldif\n");
    }
    if !setup.otp && !setup.plain {
        text += SCHEMA;
        text += "\n";
    }
    text += "dn: olcDatabase={-1}frontend,cn=config\nobjectClass: olcDatabaseConfig\n\
             objectClass: olcFrontendConfig\nolcDatabase: {-1}frontend\n\
             olcPasswordHash: {CLEARTEXT}\n\n";
    let _ = writeln!(
        text,
        "dn: olcDatabase={{0}}config,cn=config\nobjectClass: olcDatabaseConfig\n\
         olcDatabase: {{0}}config\nolcRootDN: {CONFIG_ADMIN}\nolcRootPW: {ADMIN_PASSWORD}\n\
         olcAccess: to * by dn.exact=\"{}\" read by * none\n",
        service_dn("validator")
    );
    text += &database(slapd, setup);
    text += &overlays(setup);
    text
}

fn global(slapd: &Slapd, setup: &Setup) -> String {
    let mut text = format!(
        "dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\
         olcPidFile: {pid}\nolcArgsFile: {arguments}\n\
         olcAuthzRegexp: gidNumber=[0-9]+\\+uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth {}\n\
         olcAuthzPolicy: to\n",
        service_dn("validator"),
        pid = slapd.path("pid").display(),
        arguments = slapd.path("arguments").display(),
    );
    if let Some((Identity { certificate, key }, trust)) = &setup.tls {
        let lines = [
            ("olcTLSCACertificateFile", trust),
            ("olcTLSCertificateFile", certificate),
            ("olcTLSCertificateKeyFile", key),
        ];
        for (name, file) in lines {
            let _ = writeln!(text, "{name}: {}", file.display());
        }
        text += "olcTLSVerifyClient: allow\n";
    }
    if let Some(threads) = setup.threads {
        let _ = writeln!(text, "olcThreads: {threads}");
    }
    // The number that tells the changes of providers apart; their URLs would need to be
    // those that they listen on.
    if let Role::Provider { id, .. } = &setup.role {
        let _ = writeln!(text, "olcServerID: {id}");
    }
    text.push('\n');
    text
}

fn modules(setup: &Setup) -> String {
    let mut modules = vec!["back_mdb", "pw-sha2", "pw-pbkdf2", "argon2", "memberof"];
    if setup.socket.is_some() {
        modules.push("back_sock");
    }
    if setup.password_policy.is_some() {
        modules.push("ppolicy");
    }
    if setup.otp {
        modules.push("otp");
    }
    if matches!(setup.role, Role::Provider { .. }) {
        modules.push("syncprov");
    }
    modules.extend(setup.modules.iter().map(String::as_str));
    let mut text = String::from(
        "dn: cn=module{0},cn=config\nobjectClass: olcModuleList\ncn: module{0}\n\
         olcModulePath: /usr/lib/ldap\n",
    );
    for module in modules {
        let _ = writeln!(text, "olcModuleLoad: {module}");
    }
    text.push('\n');
    text
}

fn database(slapd: &Slapd, setup: &Setup) -> String {
    let mut text = format!(
        "dn: olcDatabase={{1}}mdb,cn=config\nobjectClass: olcDatabaseConfig\n\
         objectClass: olcMdbConfig\nolcDatabase: {{1}}mdb\nolcSuffix: {SUFFIX}\n\
         olcRootDN: {ADMIN}\nolcRootPW: {ADMIN_PASSWORD}\nolcDbDirectory: {}\n\
         olcDbMaxSize: 268435456\nolcDbNoSync: {}\n",
        slapd.path("data").display(),
        if setup.durable { "FALSE" } else { "TRUE" },
    );
    // Without OATH-LDAP as Debian makes a database.
    let indexes: &[&str] = if setup.plain {
        &["objectClass eq", "cn,uid eq"]
    } else {
        &[
            "objectClass,entryUUID,entryCSN eq",
            "uid,serialNumber eq",
            "oathHOTPToken,oathTOTPToken,oathTokenIdentifier eq",
        ]
    };
    for index in indexes {
        let _ = writeln!(text, "olcDbIndex: {index}");
    }
    let rules = match &setup.access {
        Some(rules) => rules.clone(),
        None if setup.plain => Vec::new(),
        None => access::usual(),
    };
    for rule in rules {
        let _ = writeln!(text, "olcAccess: {rule}");
    }
    text += &replicas::lines(&setup.role);
    for line in &setup.database {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    text
}

/// The one with the higher number is asked first: ppolicy refuses who is locked before
/// anybody is asked through the socket.
fn overlays(setup: &Setup) -> String {
    let mut overlays = Vec::new();
    if matches!(setup.role, Role::Provider { .. }) {
        overlays.push(("syncprov", "objectClass: olcSyncProvConfig\n".to_owned()));
    }
    if setup.otp {
        overlays.push(("otp", "objectClass: olcOverlayConfig\n".to_owned()));
    }
    if let Some(socket) = &setup.socket {
        let pattern = setup.dn_pattern.as_deref().unwrap_or(DN_PATTERN);
        overlays.push(("sock", sock(socket, pattern)));
    }
    if let Some(policy) = &setup.password_policy {
        let lines = format!("objectClass: olcPPolicyConfig\nolcPPolicyDefault: {}\n", policy.dn);
        overlays.push(("ppolicy", lines));
    }
    let mut text = String::new();
    for (index, (name, lines)) in overlays.iter().enumerate() {
        let name = format!("{{{index}}}{name}");
        let _ = writeln!(
            text,
            "dn: olcOverlay={name},olcDatabase={{1}}mdb,cn=config\nobjectClass: olcOverlayConfig\n\
             olcOverlay: {name}\n{}",
            lines.replace("objectClass: olcOverlayConfig\n", "")
        );
    }
    text
}

fn sock(socket: &Path, pattern: &str) -> String {
    let mut text =
        format!("objectClass: olcOvSocketConfig\nolcDbSocketPath: {}\n", socket.display());
    for extension in ["binddn", "peername", "ssf", "connid"] {
        let _ = writeln!(text, "olcDbSocketExtensions: {extension}");
    }
    for operation in ["bind", "compare"] {
        let _ = writeln!(text, "olcOvSocketOps: {operation}");
    }
    let _ = writeln!(text, "olcOvSocketDNpat: {pattern}");
    text
}

/// Accounts and tokens, and nothing that a DN could smuggle in.
pub const DN_PATTERN: &str = "^(uid=[a-z0-9._-]+,ou=accounts|serialnumber=[a-z0-9._-]+,cn=otp)\
                              ,dc=example,dc=test$";

const SCHEMA: &str = include_str!("../../../../countersign/src/app/ldap/schema.ldif");
