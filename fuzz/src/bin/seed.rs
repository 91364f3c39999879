//! Writes what every target begins with: `seed FOLDER TARGET…` makes `FOLDER/TARGET/seed-N`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().unwrap_or_default();
    for target in arguments {
        let folder = Path::new(&folder).join(&target);
        fs::create_dir_all(&folder)?;
        for (n, seed) in sunup_fuzz::seeds::of(&target).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:03}")), seed)?;
        }
    }
    Ok(())
}
