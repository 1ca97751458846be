#![no_main]

#[path = "../decoders.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|input: (bool, Vec<u8>)| {
    let (mend, mut frame) = input;
    if mend {
        decoders::mend(&mut frame);
    }
    decoders::neighbours(&frame);
});
