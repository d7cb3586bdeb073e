//! `foremesh-strip [--noop] IN OUT`: writes IN with exactly the wanted exports to OUT.
use foremesh_strip::{FILTER, NOOP, strip};
use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (keep, input, output): (&[&str], _, _) = match arguments.as_slice() {
        [flag, input, output] if flag == "--noop" => (&NOOP, input, output),
        [input, output] => (&FILTER, input, output),
        _ => return Err("usage: foremesh-strip [--noop] IN OUT".into()),
    };
    let module = fs::read(input).map_err(|error| format!("cannot read {input}: {error}"))?;
    let stripped = strip(&module, keep)?;
    fs::write(output, &stripped).map_err(|error| format!("cannot write {output}: {error}"))?;
    println!("{output}: {} exports, {} bytes (was {})", keep.len(), stripped.len(), module.len());
    Ok(())
}
