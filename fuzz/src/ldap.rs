//! LDAP messages: a head is the same however it comes, and a bind loses nothing but its password.

use countersign_core::wire::ldap::{
    bind::{Authentication, BindRequest},
    extended,
    message::{Head, Message, Operation},
    result::LdapResult,
};

/// One message, or several, or the beginning of one.
pub fn message(octets: &[u8]) {
    let whole = Head::read(octets);
    for end in 0..octets.len().min(Head::MAX_LENGTH) {
        match Head::read(&octets[..end]) {
            Ok(None) => {}
            found => assert_eq!(found, whole, "after {end} octets"),
        }
    }
    let Ok(Some(head)) = whole else { return };
    let Ok(Some(message)) = head.message(octets) else { return };
    assert_eq!((head.id, head.operation), (message.id, message.operation));
    let alone = Message::read(&octets[..head.length]).expect("it has been read before");
    assert_eq!((alone.id, alone.abandoned()), (message.id, message.abandoned()));
    let _ = LdapResult::read(&message);
    let _ = extended::request_name(&message);
    if let Ok(request) = BindRequest::read(&message) {
        bind(&request, &message);
    }
}

fn bind(request: &BindRequest<'_>, message: &Message<'_>) {
    let made = request.with_password(b"other");
    let made = Message::read(made.expose()).expect("what is made is read");
    let again = BindRequest::read(&made).expect("what is made is a bind");
    assert_eq!((made.id, made.operation), (message.id, Operation::BIND_REQUEST));
    assert_eq!((again.version, again.name), (request.version, request.name));
    assert_eq!(again.authentication, Authentication::Simple(b"other"));
    if let Authentication::Simple(password) = request.authentication {
        let same = again.with_password(password);
        assert_eq!(same, request.with_password(password), "controls stay");
    }
}
