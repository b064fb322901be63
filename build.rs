//! Writes the table of WGSL sources that `gpu::shader` looks up, so that adding a shader is adding a file.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=shaders");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("shaders");
    let mut files = Vec::new();
    for folder in [root.clone(), root.join("shared")] {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wgsl") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
        table += &format!("    ({name:?}, include_str!({:?})),\n", path.to_string_lossy());
    }
    table += "]\n";
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shaders.rs"), table)?;
    Ok(())
}
