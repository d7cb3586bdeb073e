//! Keeps exactly the wanted exports of a built filter module.
//!
//! A proxy calls whatever a module exports: with the exports that the SDK brings along, it would enter the module a dozen
//! times for each stream. An export `fm__NAME` takes the place of `NAME`. What is not reachable any more is dropped.
//!
//! Do not keep `proxy_on_context_create` without `proxy_on_delete`: the SDK would then leak one entry for each stream.
use std::collections::BTreeSet;
use walrus::{Module, ModuleConfig};

/// Exports of the filter.
pub const FILTER: [&str; 10] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_done",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_tick",
    "proxy_on_vm_start",
];
/// Exports of the no-op module of the bench: none that is called for a stream.
pub const NOOP: [&str; 6] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
];
/// What our own exports begin with until they take their place.
const PREFIX: &str = "fm__";

/// Why a module could not be stripped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StripError {
    /// The bytes are no module.
    #[error("not a WebAssembly module: give the output of cargo build --target wasm32-wasip1")]
    Parse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Wanted exports are not there.
    #[error(
        "the module does not export {missing:?}: without them the proxy would not call the filter; see src/abi.rs"
    )]
    Missing {
        /// Their names.
        missing: Vec<String>,
    },
}

/// Gives the module with exactly the exports `keep`.
///
/// # Errors
/// Bytes that are no module, and wanted exports that are missing.
pub fn strip(module: &[u8], keep: &[&str]) -> Result<Vec<u8>, StripError> {
    // Names of functions are a fifth of the module, and would be seen only in the trace of a trap.
    let mut config = ModuleConfig::new();
    config.generate_name_section(false);
    let mut module = config.parse(module).map_err(|error| StripError::Parse(error.into()))?;
    let own: BTreeSet<String> = module
        .exports
        .iter()
        .filter_map(|export| export.name.strip_prefix(PREFIX).map(str::to_owned))
        .collect();
    let exports: Vec<_> = module.exports.iter().map(|export| (export.id(), export.name.clone())).collect();
    for (id, name) in exports {
        let target = name.strip_prefix(PREFIX).unwrap_or(&name);
        let replaced = target == name && own.contains(&name);
        if keep.contains(&target) && !replaced {
            target.clone_into(&mut module.exports.get_mut(id).name);
        } else {
            module.exports.delete(id);
        }
    }
    let missing: Vec<String> = keep
        .iter()
        .filter(|name| !module.exports.iter().any(|e| e.name == **name))
        .map(|name| (*name).into())
        .collect();
    if !missing.is_empty() {
        return Err(StripError::Missing { missing });
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

/// Names of the exports of a module, sorted.
///
/// # Errors
/// Bytes that are no module.
pub fn exports(module: &[u8]) -> Result<Vec<String>, StripError> {
    let module = Module::from_buffer(module).map_err(|error| StripError::Parse(error.into()))?;
    let names: BTreeSet<String> = module.exports.iter().map(|export| export.name.clone()).collect();
    Ok(names.into_iter().collect())
}
