//! Comma-separated text, plain or compressed, one line at a time (RFC 4180 without line breaks inside of cells).
use super::ReadError;
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// An open file, standing on one of its lines.
pub(super) struct Table {
    file: PathBuf,
    lines: BufReader<Box<dyn Read>>,
    names: Vec<String>,
    text: String,
    cells: Vec<String>,
    line: usize,
}

/// Where the columns that are asked for stand.
pub(super) struct Columns<const N: usize>([usize; N]);

impl Table {
    /// Opens a file and reads the names of its columns; a name that ends in `.gz` means compressed.
    pub(super) fn open(file: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io { file: file.into(), source };
        let opened = File::open(file).map_err(failed)?;
        let compressed = file.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(BufReader::new(opened))) } else { Box::new(opened) };
        let mut table = Self {
            file: file.into(),
            lines: BufReader::with_capacity(1 << 16, reader),
            names: Vec::new(),
            text: String::new(),
            cells: Vec::new(),
            line: 0,
        };
        if table.read_line()? {
            table.names = std::mem::take(&mut table.cells);
        }
        Ok(table)
    }

    /// Finds columns by name; others are ignored.
    pub(super) fn columns<const N: usize>(&self, names: [&'static str; N]) -> Result<Columns<N>, ReadError> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = self
                .names
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| ReadError::NoColumn { file: self.file.clone(), column: name })?;
        }
        Ok(Columns(places))
    }

    /// Goes to the next line that is not empty; false at the end of the file.
    pub(super) fn next<const N: usize>(&mut self, columns: &Columns<N>) -> Result<bool, ReadError> {
        if !self.read_line()? {
            return Ok(false);
        }
        let (cells, need) = (self.cells.len(), columns.0.iter().max().map_or(0, |last| last + 1));
        if cells < need {
            return Err(ReadError::ShortLine { file: self.file.clone(), line: self.line, cells, need });
        }
        Ok(true)
    }

    /// The cells of the current line.
    pub(super) fn cells<const N: usize>(&self, columns: &Columns<N>) -> [&str; N] {
        columns.0.map(|place| self.cells.get(place).map_or("", String::as_str))
    }

    /// Number of the current line, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The error for a cell of the current line.
    pub(super) fn cell(&self, column: &'static str, value: &str, must: &'static str) -> ReadError {
        ReadError::Cell { file: self.file.clone(), line: self.line, column, value: value.to_owned(), must }
    }

    fn read_line(&mut self) -> Result<bool, ReadError> {
        loop {
            self.text.clear();
            let failed = |source| ReadError::Io { file: self.file.clone(), source };
            if self.lines.read_line(&mut self.text).map_err(failed)? == 0 {
                return Ok(false);
            }
            self.line += 1;
            let text = self.text.trim_end_matches(['\n', '\r']).trim_start_matches('\u{feff}');
            if !text.is_empty() {
                split(text, &mut self.cells);
                return Ok(true);
            }
        }
    }
}

/// Splits a line at its commas, except inside of quotes; a doubled quote stands for one. The strings are reused.
fn split(line: &str, cells: &mut Vec<String>) {
    let (mut count, mut quoted) = (0, false);
    let mut characters = line.chars().peekable();
    loop {
        if count == cells.len() {
            cells.push(String::new());
        }
        let cell = &mut cells[count];
        cell.clear();
        count += 1;
        loop {
            match characters.next() {
                None => {
                    cells.truncate(count);
                    return;
                }
                Some(',') if !quoted => break,
                Some('"') if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    cell.push('"');
                }
                Some('"') => quoted = !quoted,
                Some(other) => cell.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_commas() {
        for (line, want) in [
            ("a,b,,c", vec!["a", "b", "", "c"]),
            ("a,\"b, c\",d", vec!["a", "b, c", "d"]),
            ("\"say \"\"hi\"\"\",x", vec!["say \"hi\"", "x"]),
            ("", vec![""]),
        ] {
            let mut cells = Vec::new();
            split(line, &mut cells);
            assert_eq!(cells, want, "{line}");
        }
    }
}
