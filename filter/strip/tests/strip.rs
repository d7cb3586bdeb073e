//! The stripped module has exactly the wanted exports.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panics")]

use foremesh_strip::{FILTER, StripError, exports, strip};
use walrus::{FunctionBuilder, Module, ModuleConfig, ValType};

/// A module with one function for each name, which gives the number of the name.
fn module(names: &[&str]) -> Vec<u8> {
    let mut module = Module::with_config(ModuleConfig::new());
    for (name, number) in names.iter().zip(0..) {
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
        builder.func_body().i32_const(number);
        let function = builder.finish(vec![], &mut module.funcs);
        module.exports.add(name, function);
    }
    module.emit_wasm()
}

#[test]
fn only_the_wanted_exports_stay_and_dead_code_goes() {
    let names = ["memory_stand_in", "proxy_on_log", "proxy_on_request_headers", "unwanted"];
    let stripped = strip(&module(&names), &["proxy_on_log"]).unwrap();
    assert_eq!(exports(&stripped).unwrap(), ["proxy_on_log"]);
    assert_eq!(Module::from_buffer(&stripped).unwrap().funcs.iter().count(), 1);
}

#[test]
fn our_own_export_takes_the_place_of_the_sdks() {
    let stripped = strip(&module(&["proxy_on_log", "fm__proxy_on_log"]), &["proxy_on_log"]).unwrap();
    assert_eq!(exports(&stripped).unwrap(), ["proxy_on_log"]);
    // The second function is ours; it gives 1.
    assert_eq!(stripped, strip(&module(&["unwanted", "proxy_on_log"]), &["proxy_on_log"]).unwrap());
}

#[test]
fn a_missing_export_is_named() {
    let error = strip(&module(&["proxy_on_log"]), &["proxy_on_log", "proxy_on_tick"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the module does not export [\"proxy_on_tick\"]: without them the proxy would not call the filter; see src/abi.rs"
    );
    assert!(matches!(strip(b"no module", &[]), Err(StripError::Parse(_))));
}

#[test]
fn no_export_is_called_for_a_stream_but_the_two_that_are_ours() {
    // Each name here would make the proxy enter the module once more for each stream; on_context_create would also leak
    // without on_delete.
    for name in [
        "proxy_on_context_create",
        "proxy_on_delete",
        "proxy_on_request_headers",
        "proxy_on_response_headers",
    ] {
        assert!(!FILTER.contains(&name), "{name}");
    }
}

#[test]
#[ignore = "needs build/foremesh_filter.wasm; scripts/build-filter makes it"]
fn the_built_filter_has_exactly_its_exports() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/foremesh_filter.wasm");
    let built = std::fs::read(path).unwrap();
    assert_eq!(exports(&built).unwrap(), FILTER);
    assert!(built.len() <= 150_000, "the module has {} bytes, limit 150000", built.len());
}
