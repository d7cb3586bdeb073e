//! The least module that a proxy starts: what Wasm itself costs, for the bench. It has no export that is called for a
//! stream.

/// Says which ABI this is.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Nothing to prepare.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {}

/// Memory for what the proxy hands over.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Vec::<u8>::with_capacity(size).leak().as_mut_ptr()
}

/// Starts.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_context: u32, _size: usize) -> bool {
    true
}

/// Takes any configuration.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_context: u32, _size: usize) -> bool {
    true
}
