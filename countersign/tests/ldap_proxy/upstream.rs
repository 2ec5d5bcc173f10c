//! Connections to directory servers: which one, and that it is TLS before anything is said.

use std::time::Duration;

use countersign::{
    client::ldap_server::LdapServer,
    config::{ldap_proxy::LdapServerSettings, server_url::ServerUrl},
};
use countersign_core::wire::ldap::{
    extended::{START_TLS, request},
    message::{MessageId, Operation},
    result::{ResultCode, response},
};
use tokio::net::{TcpListener, UnixListener};

use crate::support::{End, message};

fn server(addresses: Vec<ServerUrl>) -> LdapServer {
    let time_limit = Duration::from_secs(60);
    let settings = LdapServerSettings { addresses, trust: None, start_tls: true, time_limit };
    LdapServer::new(&settings).unwrap()
}

/// What becomes of a connection to a server that says this to StartTLS.
async fn answered(answer: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server(vec![ServerUrl::Plain { host: "127.0.0.1".into(), port }]);
    let (opened, ()) = tokio::join!(server.open(), async {
        let mut end = End::new(listener.accept().await.unwrap().0);
        end.expect(&request(MessageId::MAX, START_TLS)).await;
        end.send(answer).await;
    });
    opened.err().unwrap().to_string()
}

#[tokio::test]
async fn of_several_servers_the_first_is_taken_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let [gone, there] = ["gone", "there"].map(|name| directory.path().join(name));
    let listener = UnixListener::bind(&there).unwrap();
    let server = server(vec![ServerUrl::Socket(gone.clone()), ServerUrl::Socket(there)]);
    assert!(server.open().await.is_ok());
    drop(listener);
    let error = self::server(vec![ServerUrl::Socket(gone)]).open().await.err().unwrap();
    assert!(error.to_string().starts_with("ldapi:///"), "{error}");
}

#[tokio::test]
async fn without_tls_nothing_is_said() {
    let of = |code| response(MessageId::MAX, Operation::EXTENDED_RESPONSE, code, "");
    assert!(answered(&of(ResultCode::PROTOCOL_ERROR)).await.contains("result code 2"));
    let entry = message(1, Operation(0x64), b"x");
    let injected = [of(ResultCode::SUCCESS), entry.clone()].concat();
    assert!(answered(&injected).await.contains("behind the last element"));
    assert!(!answered(&entry).await.is_empty());
    assert!(!answered(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.is_empty());
    let endless = b"\x30\x84\x00\x01\x00\x00\x02\x01\x01\x78\x82\xff\x00";
    assert!(answered(&[&endless[..], &[0; 8192]].concat()).await.contains("too long"));
    assert!(!answered(b"").await.is_empty());
    let no_tls = answered(&of(ResultCode::SUCCESS)).await;
    assert!(!no_tls.is_empty(), "the server hangs up in the place of a handshake");
}

#[test]
fn a_host_that_no_certificate_can_be_for_is_found_at_once() {
    let addresses = vec![ServerUrl::Tls { host: "two words".into(), port: 636 }];
    let time_limit = Duration::from_secs(1);
    let settings = LdapServerSettings { addresses, trust: None, start_tls: false, time_limit };
    let error = LdapServer::new(&settings).err().unwrap().to_string();
    assert!(error.contains("two words"), "{error}");
}
