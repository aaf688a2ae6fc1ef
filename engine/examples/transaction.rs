//! Two accounts, and many who move money between them: `cargo run --example transaction -- /path/to/a/folder`.

use ringkeep::{Database, Isolation, Options, TransactionOptions};

fn amount(value: Option<Vec<u8>>) -> i64 {
    let text = String::from_utf8(value.unwrap_or_default());
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;
    db.put("account:alice", "100")?;
    db.put("account:bob", "0")?;

    // Ten at once: whoever finds that another one was quicker reads the accounts again.
    std::thread::scope(|scope| {
        let payment = || {
            db.transact(|tx| {
                let alice = amount(tx.get("account:alice")?);
                let bob = amount(tx.get("account:bob")?);
                tx.put("account:alice", (alice - 3).to_string())?;
                tx.put("account:bob", (bob + 3).to_string())
            })
        };
        let payments: Vec<_> = (0..10).map(|_| scope.spawn(payment)).collect();
        payments
            .into_iter()
            .try_for_each(|payment| payment.join().expect("no payment panics"))
    })?;

    // Depends on all accounts: one that is opened meanwhile is a conflict, too.
    let options = TransactionOptions {
        isolation: Isolation::Serializable,
        ..TransactionOptions::default()
    };
    let sum = db.transact_with(&options, |tx| {
        let mut sum = 0;
        for entry in tx.scan_prefix("account:")? {
            sum += amount(Some(entry?.1));
        }
        tx.put("sum", sum.to_string())?;
        Ok(sum)
    })?;
    let (alice, bob) = (db.get("account:alice")?, db.get("account:bob")?);
    println!("alice {}, bob {}, sum {sum}", amount(alice), amount(bob));
    db.close()?;
    Ok(())
}
