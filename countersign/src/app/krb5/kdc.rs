//! The KDC itself: whether it runs, since when, and what its own settings mean for OTP.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::realm::Realm;
use crate::app::examine::Findings;

/// A running KDC, as far as it decides what it may open.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) groups: Vec<u32>,
    /// Whether it may open everything (CAP_DAC_OVERRIDE).
    pub(super) overrides: bool,
    pub(super) started: Option<SystemTime>,
}

impl Process {
    /// As Debian's unit runs it: root, and no more than that.
    pub(super) fn packaged() -> Self {
        Self { id: 0, user: 0, group: 0, groups: Vec::new(), overrides: false, started: None }
    }

    /// Whether the mode of a file lets it do something: 2 write, 1 search.
    pub(super) fn may(&self, file: &Metadata, what: u32) -> bool {
        let shift = if file.uid() == self.user {
            6
        } else if file.gid() == self.group || self.groups.contains(&file.gid()) {
            3
        } else {
            0
        };
        file.mode() >> shift & what != 0
    }
}

/// The KDC that reads the files of this realm, if one runs here.
pub(super) fn running(realm: &Realm) -> Option<Process> {
    let entries = fs::read_dir("/proc").ok()?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut of_realm = ids.filter(|id| is_kdc(*id) && reads(*id, realm));
    process(of_realm.next()?)
}

pub(super) fn examine(realm: &Realm, version: Option<&str>, findings: &mut Findings) {
    let object = "kdc";
    if let Some(version) = version {
        findings.good(object, format!("the Kerberos library of this machine is {version}"));
    }
    examine_plug_in(object, findings);
    match running(realm) {
        Some(process) => examine_age(object, realm, &process, findings),
        None => findings.warning(
            object,
            "no KDC that reads these files was found running here",
            "start it; if it runs elsewhere, or as another user, run this there as root",
        ),
    }
    examine_armour(object, realm, findings);
    examine_clients(realm, findings);
}

fn examine_plug_in(object: &str, findings: &mut Findings) {
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let libraries = libraries.map(|entry| entry.path());
    let mut places =
        libraries.chain(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    let there = places.any(|library| library.join("krb5/plugins/preauth/otp.so").exists());
    let is_kdc = ["/usr/sbin/krb5kdc", "/usr/local/sbin/krb5kdc"]
        .map(Path::new)
        .iter()
        .any(|path| path.exists());
    if is_kdc && !there {
        findings.error(
            object,
            "its OTP plug-in (otp.so) is not installed",
            "on Debian: apt-get install krb5-otp; then restart the KDC",
        );
    }
}

/// Files and secrets are read once, when it starts.
fn examine_age(object: &str, realm: &Realm, process: &Process, findings: &mut Findings) {
    findings.good(object, format!("it runs as process {}, uid {}", process.id, process.user));
    let Some(started) = process.started else { return };
    let newer = |changed: &Option<SystemTime>| changed.is_some_and(|at| at > started + PRECISION);
    for (file, _) in realm.files.iter().filter(|(_, changed)| newer(changed)) {
        let finding = format!(
            "{} was changed after it started, and it reads it at the start only",
            file.display()
        );
        findings.warning(object, finding, "restart the KDC: systemctl restart krb5-kdc");
    }
}

fn examine_armour(object: &str, realm: &Realm, findings: &mut Findings) {
    if realm.setting("pkinit_identity").is_none() {
        findings.warning(
            object,
            "it has no pkinit_identity, so `kinit -n` gets no armour; OTP is offered within FAST \
                 alone",
            "give it a certificate (`countersign ca issue kdc`) and make WELLKNOWN/ANONYMOUS; or \
                 use host keytabs as armour",
        );
    } else if realm.setting("restrict_anonymous_to_tgt").is_none_or(|value| !is_true(value)) {
        findings.warning(
            object,
            "anonymous tickets are good for services, too",
            "set restrict_anonymous_to_tgt = true, so that they are armour and nothing else",
        );
    }
}

/// Several KDCs and UDP: the same OTP reaches two of them after a second.
fn examine_clients(realm: &Realm, findings: &mut Findings) {
    let Some(name) = &realm.name else { return };
    let kdcs = realm.profile.values(&["realms", name, "kdc"]).len();
    let limit = realm.profile.value(&["libdefaults", "udp_preference_limit"]);
    if kdcs > 1 && limit != Some("1") {
        let finding = format!(
            "{kdcs} KDCs, and clients begin with UDP: after one second without an answer the \
                 same OTP goes to the next KDC, and is refused there as used"
        );
        findings.warning(
            &format!("realm {name}"),
            finding,
            "set udp_preference_limit = 1 in [libdefaults] of all clients",
        );
    }
}

fn is_true(value: &str) -> bool {
    ["y", "yes", "true", "t", "1", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_kdc(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "krb5kdc")
}

/// Whether its environment names the files of this realm. Without a name they are the usual ones.
fn reads(id: u32, realm: &Realm) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else { return false };
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let value = |name: &str| {
        let mut variables = environment.split('\0').filter_map(|line| line.split_once('='));
        variables.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let kdc_conf = value("KRB5_KDC_PROFILE").map(PathBuf::from);
    match kdc_conf {
        Some(path) => path == realm.places.kdc_conf,
        None => {
            let usual = ["/etc/krb5kdc/kdc.conf", "/var/kerberos/krb5kdc/kdc.conf"];
            usual.map(Path::new).contains(&realm.places.kdc_conf.as_path())
        }
    }
}

fn process(id: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let numbers = |name: &str, radix: u32| -> Vec<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|word| u64::from_str_radix(word, radix).ok()).collect()
    };
    let ids = |name: &str| -> Vec<u32> {
        numbers(name, 10).into_iter().filter_map(|number| number.try_into().ok()).collect()
    };
    Some(Process {
        id,
        // Real, effective, saved, of the file system.
        user: *ids("Uid:").get(3)?,
        group: *ids("Gid:").get(3)?,
        groups: ids("Groups:"),
        overrides: numbers("CapEff:", 16).first()? & CAP_DAC_OVERRIDE != 0,
        started: started(id),
    })
}

/// Seconds since the boot are in field 22 of `stat`, in ticks; the name in field 2 may hold spaces.
fn started(id: u32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(boot)
            + Duration::from_millis(ticks * MILLISECONDS),
    )
}

/// The boot is known to the second, as long as nobody sets the clock.
const PRECISION: Duration = Duration::from_secs(2);
/// In a tick; Linux shows a hundred ticks a second on every architecture we build for.
const MILLISECONDS: u64 = 10;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_proc() {
        let own = process(std::process::id()).unwrap();
        assert_eq!(own.user, rustix::process::geteuid().as_raw());
        let file = tempfile::NamedTempFile::new().unwrap();
        let made = file.as_file().metadata().unwrap().modified().unwrap();
        assert!(own.started.unwrap() <= made + PRECISION, "it began before it made a file");
        assert!(!is_kdc(std::process::id()));
    }

    #[test]
    fn modes_are_those_of_owner_group_or_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let owner = Process { user: metadata.uid(), ..Process::packaged() };
        let other =
            Process { user: metadata.uid() + 1, group: metadata.gid() + 1, ..owner.clone() };
        assert!(owner.may(&metadata, 2) && !other.may(&metadata, 2));
    }
}
