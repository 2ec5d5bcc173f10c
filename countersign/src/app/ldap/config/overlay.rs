//! Overlay sock: which requests slapd asks about, and through which socket.

use std::fmt::Write;

use countersign_core::domain::dn::Dn;

use super::{Name, Part, Place, Socket, Wanted};

/// The module that has the overlay.
pub(super) fn module() -> Part {
    let text = "dn: cn=module,cn=config\nchangetype: add\nobjectClass: olcModuleList\n\
                cn: module\nolcModuleLoad: back_sock\n\n";
    let note = "loads the module of overlay sock; error 80 says that it is loaded already";
    Part {
        name: Name::Module,
        place: Place::Config,
        notes: vec![note.to_owned()],
        text: text.to_owned(),
    }
}

/// The overlay, below every other of the database: what stands above is asked first.
pub(super) fn write(wanted: &Wanted, socket: &Socket) -> Part {
    let mut text = format!(
        "dn: olcOverlay={{0}}sock,{}\nchangetype: add\nobjectClass: olcOverlayConfig\n\
         objectClass: olcOvSocketConfig\nolcOverlay: {{0}}sock\nolcDbSocketPath: {}\n",
        wanted.database,
        socket.path.display()
    );
    for extension in ["binddn", "peername", "ssf", "connid"] {
        let _ = writeln!(text, "olcDbSocketExtensions: {extension}");
    }
    for operation in ["bind", "compare"] {
        let _ = writeln!(text, "olcOvSocketOps: {operation}");
    }
    let _ = writeln!(text, "olcOvSocketDNpat: {}\n", pattern(wanted));
    Part { name: Name::Overlay, place: Place::Config, notes: notes(), text }
}

fn notes() -> Vec<String> {
    let notes = [
        "start the daemon first: from now on nobody below accounts binds without it",
        "number {0} puts it below every other overlay, so that ppolicy refuses who is locked \
         before Countersign is asked; keep it the lowest",
        "the pattern keeps DNs away that smuggle lines into the request; do not loosen it",
        "to change one of its attributes, replace all of its values (ITS#9758)",
    ];
    notes.map(str::to_owned).to_vec()
}

/// A POSIX extended regular expression for the normalised DNs of accounts and tokens, and of
/// nothing else: any other character, a line feed above all, keeps a DN out.
pub(in crate::app::ldap) fn pattern(wanted: &Wanted) -> String {
    let names = &wanted.names;
    let below = |attribute: &str, base: &str| {
        format!("{}=[{names}]+,{}", escaped(attribute), escaped(base))
    };
    let accounts = wanted.accounts.iter().map(|base| below(&wanted.attributes.account, base));
    let tokens = wanted.tokens.iter().map(|base| below(&wanted.attributes.token, base));
    let all: Vec<_> = accounts.chain(tokens).collect();
    match &all[..] {
        [one] => format!("^{one}$"),
        several => format!("^({})$", several.join("|")),
    }
}

/// As slapd normalises it, and literal. It writes what must be escaped in hexadecimal.
fn escaped(text: &str) -> String {
    let normal = Dn::parse(text).map_or_else(|_| text.to_lowercase(), |dn| dn.to_string());
    let mut escaped = String::new();
    let mut characters = normal.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(next)) if !next.is_ascii_hexdigit() => {
                let _ = write!(escaped, "\\\\{:02X}", u32::from(*next));
                characters.next();
            }
            (special, _) if r"\^$.[]|()*+?{}".contains(special) => {
                escaped.extend(['\\', special]);
            }
            (other, _) => escaped.push(other),
        }
    }
    escaped
}
