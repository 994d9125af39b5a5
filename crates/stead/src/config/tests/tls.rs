//! TLS: what is written for it, and every way in which it does not go together.

use super::*;
use std::fmt::Write;

const PAIR: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";

/// A folder with a good certificate and its key.
fn certified() -> Folder {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.file("cert.pem", &made.cert.pem());
    folder.file("key.pem", &made.signing_key.serialize_pem());
    folder
}

fn app(lines: &[&str]) -> String {
    format!("[app.shop]\ncommand = \"gunicorn api:app\"\n{}\n", lines.join("\n"))
}

#[test]
fn paths_start_where_the_file_is_and_addresses_without_a_scheme_are_secure() {
    let folder = certified();
    let listen = "listen = [8443, 'http://8080', 'https://8444']";
    let lines =
        ["cwd = 'bin'", listen, PAIR, "tls_client_ca = { optional = 'cert.pem' }", "redirect_https = true"];
    let mut settings = load_file(&folder, &app(&lines), "").unwrap();
    let app = settings.apps.remove(0);
    let schemes: Vec<_> = app.listen.iter().map(|listen| app.scheme_of(listen)).collect();
    assert_eq!(schemes, [Scheme::Https, Scheme::Http, Scheme::Https]);
    let tls = app.tls.unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = Certificate { certificate: path("cert.pem"), key: path("key.pem"), acme: None };
    assert_eq!(tls.certificates, [files]);
    assert_eq!(tls.client_ca, Some(ClientCa { file: path("cert.pem"), required: false }));
    assert!(app.redirect_https);
}

#[test]
fn what_acme_gets_is_kept_in_the_home_by_server_and_names() {
    let folder = certified();
    let acme = "tls = [{ acme = 'Example.org' }, { acme = ['a.test', 'b.test'], email = 'me@a.test', \
                directory = 'https://ca.test:14000/dir/', directory_ca = 'ca.pem' }]";
    let mut settings = load_file(&folder, &app(&["listen = 443", acme]), "").unwrap();
    let tls = settings.apps.remove(0).tls.unwrap();
    let [public, private] = &tls.certificates[..] else { panic!("two") };
    let place = |certificate: &Certificate| {
        let path = certificate.certificate.to_str().unwrap();
        assert_eq!(certificate.certificate, certificate.key);
        path[path.find("/acme/").unwrap()..].to_owned()
    };
    assert_eq!(place(public), "/acme/acme-v02.api.letsencrypt.org-directory/example.org.pem");
    assert_eq!(place(private), "/acme/ca.test-14000-dir/a.test+1-427d491449698c29.pem");
    let private = private.acme.as_ref().unwrap();
    assert_eq!(private.names, ["a.test", "b.test"]);
    assert_eq!(private.directory_ca, Some(folder.path().join("ca.pem")));
}

#[test]
fn every_mistake_is_explained() {
    let folder = certified();
    folder.file("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let cases: [&[&str]; 20] = [
        &["listen = 'https://8443'"],
        &["tls_client_ca = { required = 'cert.pem' }"],
        &["redirect_https = true"],
        &["listen = 8443", PAIR, "redirect_https = true"],
        &["listen = 8443", PAIR, "mode = 'direct'"],
        &["tls = 'cert.pem'"],
        &["tls = { certificate = 'cert.pem' }"],
        &["tls = { cert = 'cert.pem', key = 'key.pem' }"],
        &["tls = []"],
        &["tls = { certificate = 'gone.pem', key = 'key.pem' }"],
        &["tls = { certificate = 'key.pem', key = 'cert.pem' }"],
        &["tls = { certificate = 'cert.pem', key = 'other.pem' }"],
        &[PAIR, "tls_client_ca = { required = 'key.pem' }"],
        &["tls = { acme = [] }"],
        &["tls = { acme = '*.example.org' }"],
        &["tls = { acme = ['example.org', '192.0.2.1'] }"],
        &["tls = { acme = 'example..org' }"],
        &["tls = { acme = 'example.org', email = 'me' }"],
        &["tls = { acme = 'example.org', directory = 'http://ca.test' }"],
        &["tls = { acme = 'example.org', key = 'key.pem' }"],
    ];
    let mut text = String::new();
    for lines in cases {
        let error = load_file(&folder, &app(lines), "").unwrap_err();
        writeln!(text, "--- {}\n{}", lines.join("; "), report(&folder, &error)).unwrap();
    }
    insta::assert_snapshot!(text);
}
