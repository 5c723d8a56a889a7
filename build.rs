//! Build script: lets the linker accept the symbols that Node itself provides.

fn main() {
    napi_build::setup();
}
