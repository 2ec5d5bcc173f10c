//! A web server that knows nothing of one-time passwords: Apache with mod_authnz_ldap, whose
//! users type password and OTP into the dialogue of their browser.

use std::{fs, path::Path, process::Command};

use super::{SUFFIX, Stage};
use crate::support::{
    directory::service_dn,
    ports,
    process::{Service, run},
};

#[test]
fn apache_asks_for_password_and_otp_without_knowing_it() {
    let stage = Stage::new("", &[]);
    let port = ports::free();
    let directory = stage.site.file("apache");
    fs::create_dir(&directory).unwrap();
    let config = directory.join("apache.conf");
    fs::write(&config, apache(&stage, &directory, port)).unwrap();
    fs::write(directory.join("page"), "the page").unwrap();
    let mut command = Command::new("/usr/sbin/apache2");
    command.arg("-f").arg(&config).args(["-D", "FOREGROUND"]);
    let mut server = Service::start("apache", &mut command, &directory.join("log"));
    let get = |credentials: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-u", credentials]);
        run(curl.arg(format!("http://127.0.0.1:{port}/page")), b"").stdout
    };
    server.wait_until("it answers", || get("nobody:x") == "401");
    assert_eq!(get("alice:alice-pw"), "401");
    assert_eq!(get(&format!("alice:{}", stage.credentials(0))), "200");
    assert_eq!(get(&format!("alice:{}", stage.credentials(0))), "401");
    assert_eq!(get(&format!("alice:{}", stage.credentials(1))), "200");
    assert_eq!(get("bob:bob-pw"), "200");
    stage.site.has_accepted(2);
}

/// Apache keeps a successful bind for a while unless it is told not to; then a password
/// would be good without its OTP being asked for.
fn apache(stage: &Stage, directory: &Path, port: u16) -> String {
    let modules = [
        "mpm_event",
        "authn_core",
        "authz_core",
        "authz_user",
        "auth_basic",
        "ldap",
        "authnz_ldap",
    ];
    let modules: String = modules
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let directory = directory.display();
    format!(
        "{modules}\
         ServerName localhost\n\
         Listen 127.0.0.1:{port}\n\
         PidFile {directory}/pid\n\
         ErrorLog {directory}/error.log\n\
         DocumentRoot {directory}\n\
         LDAPTrustedGlobalCert CA_BASE64 {}\n\
         LDAPCacheEntries 0\n\
         LDAPOpCacheEntries 0\n\
         <Directory {directory}>\n\
         AuthType Basic\n\
         AuthName \"password and one-time password\"\n\
         AuthBasicProvider ldap\n\
         AuthLDAPBindDN \"{}\"\n\
         AuthLDAPBindPassword service-pw\n\
         AuthLDAPURL ldaps://127.0.0.1:{}/ou=accounts,{SUFFIX}?uid?one\n\
         Require valid-user\n\
         </Directory>\n",
        stage.trust.display(),
        service_dn("provider"),
        stage.tls_port,
    )
}
