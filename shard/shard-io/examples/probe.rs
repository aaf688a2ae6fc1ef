//! Prints which door to the kernel this machine offers: `cargo run -p ringkeep-io --example probe [directory]`.

use std::path::Path;

use ringkeep_io::{Backend, Io, IoOptions, OpenMode};

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    for backend in [Backend::Auto, Backend::Portable] {
        let options = IoOptions {
            backend,
            ..IoOptions::default()
        };
        match Io::open(&options) {
            Ok(io) => show(&io, Path::new(&directory)),
            Err(error) => println!("{backend:?}: {error}"),
        }
        println!();
    }
}

fn show(io: &Io, path: &Path) {
    const NAME: &str = ".ringkeep-probe";
    let tried = io.directory(path).and_then(|directory| {
        directory.open(NAME, OpenMode::CreateNew)?;
        directory.remove(NAME)
    });
    drop(io.frame());
    print!("{}", io.report());
    if let Err(error) = tried {
        println!("{}: {error}", path.display());
    }
}
