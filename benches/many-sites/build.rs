//! Writes the functions: 100 modules of 200 each.

use std::{env, fmt::Write as _, fs, io, path::PathBuf};

const MODULES: usize = 100;
const FUNCTIONS: usize = 200;

fn main() -> io::Result<()> {
    let mut text = String::new();
    let mut table = String::new();
    for module in 0..MODULES {
        let _ = writeln!(text, "pub mod handlers_{module:02} {{");
        for function in 0..FUNCTIONS {
            // The number is stored: functions with the same body would be made one.
            let number = module * FUNCTIONS + function;
            let _ = writeln!(
                text,
                "    #[inline(never)]\n    pub fn request_{function:03}(words: usize) -> Box<[u64]> {{\n        \
                 let mut block = vec![0; words].into_boxed_slice();\n        \
                 if let Some(word) = block.first_mut() {{\n            *word = {number};\n        }}\n        \
                 block\n    }}"
            );
            let _ = writeln!(table, "    handlers_{module:02}::request_{function:03},");
        }
        text.push_str("}\n");
    }
    let _ = writeln!(
        text,
        "pub static SITES: [fn(usize) -> Box<[u64]>; {}] = [\n{table}];",
        MODULES * FUNCTIONS
    );
    let directory = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(directory.join("sites.rs"), text)
}
