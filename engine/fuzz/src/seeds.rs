//! Writes the inputs that every target begins with: `seeds FOLDER` makes `FOLDER/<target>/`.

use std::path::Path;

use ringkeep_fuzz::TARGETS;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("the folder to write to");
    for target in &TARGETS {
        let folder = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder)?;
        let kept = target.corpus().into_iter().map(|(_, input)| input);
        for (index, input) in (target.seeds)().into_iter().chain(kept).enumerate() {
            std::fs::write(folder.join(format!("seed-{index:03}")), input)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
