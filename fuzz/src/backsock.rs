//! Requests of slapd: pieces do not matter, and what was read is all that was there.

use countersign_core::wire::backsock::{
    Bind, Origin, Peer, Request, RequestError, RequestReader, request::Notice,
};

type Found = Result<Option<Request>, RequestError>;

/// A stream after which it is quiet.
pub fn request(octets: &[u8]) {
    let whole = read(octets, octets.len());
    for length in [1, 7, 64] {
        assert_eq!(read(octets, length), whole, "in pieces of {length}");
    }
    match whole {
        Ok(Some(Request::Bind(bind))) => {
            let written = written(&bind);
            // An address can be written in several ways.
            let is_exact = !matches!(bind.origin.peer, Some(Peer::Ip(_)));
            assert!(!is_exact || octets == written, "another bind was read than was written");
            assert_eq!(read(&written, written.len()), Ok(Some(Request::Bind(bind))));
        }
        Ok(Some(Request::Compare(compare))) => {
            assert_clean(&compare.origin, &compare.dn);
            assert!(compare.value.expose().len() < octets.len());
        }
        Ok(Some(
            Request::Other(_) | Request::Notice(Notice::Entry | Notice::Result | Notice::Unbind),
        )) => {
            assert!(octets.ends_with(b"\n\n"));
        }
        Ok(None) | Err(_) => {}
    }
}

/// What is found in the end; a request that was found is not found again.
fn read(octets: &[u8], length: usize) -> Found {
    let mut reader = RequestReader::new();
    let mut found = None;
    for piece in octets.chunks(length.max(1)) {
        let more = reader.push(piece)?;
        assert!(found.is_none() || is_other(found.as_ref()), "{found:?} and {more:?}");
        found = more;
    }
    if found.is_some() { Ok(found) } else { reader.quiet() }
}

/// Where a request ends that nobody reads is not known.
fn is_other(found: Option<&Request>) -> bool {
    matches!(found, Some(Request::Other(_) | Request::Notice(_)))
}

fn written(bind: &Bind) -> Vec<u8> {
    let Bind { origin, dn, credentials } = bind;
    assert_clean(origin, dn);
    let mut text = format!("BIND\nmsgid: {}\n", origin.message);
    let peer = origin.peer.as_ref().map(|peer| match peer {
        Peer::Ip(address) => format!("IP={address}"),
        Peer::Path(path) => format!("PATH={path}"),
    });
    for (name, value) in [
        ("binddn", origin.bound.clone()),
        ("peername", peer),
        ("ssf", origin.strength.map(|number| number.to_string())),
        ("connid", origin.connection.map(|number| number.to_string())),
    ] {
        text.extend(value.map(|value| format!("{name}: {value}\n")));
    }
    text.extend(origin.suffixes.iter().map(|suffix| format!("suffix: {suffix}\n")));
    let credentials = credentials.expose();
    text += &format!("dn: {dn}\nmethod: 128\ncredlen: {}\ncred: ", credentials.len());
    [text.as_bytes(), credentials, b"\n\n"].concat()
}

fn assert_clean(origin: &Origin, dn: &str) {
    let texts = origin.suffixes.iter().chain(&origin.bound).map(String::as_str);
    for text in texts.chain([dn]) {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
