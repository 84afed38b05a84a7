//! The server is accepted only with a certificate of the right authority for the right name.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use usage_ledger::store::{EventStore, PostgresStore};

use crate::cluster::Cluster;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub fn verified(programs: &Path) {
    let (ours, other) = (authority("ours"), authority("other"));
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let mut cluster = Cluster::start(programs, &[]);
    cluster.give("server.crt", &certificate.pem());
    cluster.give("server.key", &key.serialize_pem());
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.stop();
    cluster.run();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ours, other) = (file("ours.pem", &ours.pem()), file("other.pem", &other.pem()));
    let open = |host: &str, options: &str| {
        let address = format!("postgres://admin:s3cret@{host}:{}/postgres?ledger=tls&{options}", cluster.port);
        PostgresStore::open(&address.parse().unwrap()).map(|store| {
            store.read().unwrap();
            cluster.sql("postgres", "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'usage-ledger'")
        })
    };
    assert_eq!(open("localhost", &format!("sslmode=verify-full&sslrootcert={ours}")).unwrap(), "t");
    for (host, options, why) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "the authority is another one"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}"), "the certificate has another name"),
        ("localhost", "sslmode=verify-full".to_owned(), "the system does not know the authority"),
    ] {
        let Err(error) = open(host, &options) else { panic!("accepted, although {why}") };
        let error = error.to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
    // A server without TLS is not accepted instead.
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = off");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    while cluster.sql("postgres", "SHOW ssl") == "on" {
        std::thread::yield_now();
    }
    assert!(open("localhost", &format!("sslmode=verify-full&sslrootcert={ours}")).is_err());
}
