//! Reads a protobuf summary, such as the body of `POST /v1/summaries`, from standard input and writes it as JSON.
use foremesh_summary::{Limits, decode, to_json};
use std::error::Error;
use std::io::{Read, stdin};

fn main() -> Result<(), Box<dyn Error>> {
    let mut body = Vec::new();
    stdin().read_to_end(&mut body)?;
    println!("{}", to_json(&decode(&body, &Limits::default())?)?);
    Ok(())
}
