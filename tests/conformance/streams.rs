//! Streams: chunks in the order in which the store accepted them, an end that stays, and no need of a
//! run.

use hookline::domain::health_check::KEPT_MS;
use hookline::domain::page::LIMIT_MAX;
use hookline::store::StreamSlice;

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    chunks_come_in_the_order_of_their_writing,
    a_slice_has_at_most_the_chunks_asked_for,
    a_negative_index_counts_from_the_end_and_stops_at_the_start,
    a_slice_past_the_end_is_empty_and_says_whether_the_stream_is_closed,
    a_stream_that_nobody_wrote_is_empty_and_open,
    a_closed_stream_keeps_its_chunks_and_ignores_later_ones,
    a_stream_may_be_closed_twice_and_without_a_chunk,
    chunks_keep_every_byte_and_may_be_empty,
    a_write_of_no_chunks_opens_the_stream,
    streams_do_not_need_a_run,
    a_run_lists_its_streams_in_the_order_of_their_creation,
    a_stream_belongs_to_the_run_that_opened_it,
    concurrent_writers_lose_no_chunk,
    a_slice_may_be_as_large_as_a_page,
    a_health_check_removes_the_streams_of_earlier_ones_that_are_old,
);

fn texts(slice: &StreamSlice) -> Vec<&str> {
    let text = |chunk: &'_ Vec<u8>| std::str::from_utf8(chunk).is_ok();
    assert!(slice.chunks.iter().all(text));
    slice.chunks.iter().map(|chunk| std::str::from_utf8(chunk).unwrap_or_default()).collect()
}

fn a_health_check_removes_the_streams_of_earlier_ones_that_are_old(world: &World) {
    let check = |number: usize| format!("__health_check__{number:04}");
    let long = "long ".repeat(1000);
    world.write("__health_check_", &["another stream"]);
    for number in 0..40 {
        world.write(&check(number), &["answer", &long]);
    }
    world.at(KEPT_MS - 1);
    world.write(&check(40), &["answer"]);
    let left = || (0..100).filter(|number| world.slice(&check(*number), 0, 1).count > 0).count();
    assert_eq!(left(), 41);
    world.at(KEPT_MS);
    for number in 41..44 {
        world.write(&check(number), &["answer"]);
    }
    assert_eq!((left(), texts(&world.slice(&check(40), 0, 9))), (4, vec!["answer"]));
    assert_eq!(texts(&world.slice("__health_check_", 0, 9)), ["another stream"]);
}

fn chunks_come_in_the_order_of_their_writing(world: &World) {
    world.write("s", &["a", "b"]);
    // The order does not depend on the time.
    world.at(-1000);
    world.write("s", &["c"]);
    world.write("other", &["x"]);
    world.write("s", &["d", "e"]);
    let slice = world.slice("s", 0, 100);
    assert_eq!(texts(&slice), ["a", "b", "c", "d", "e"]);
    assert_eq!((slice.from, slice.count, slice.closed), (0, 5, false));
}

fn a_slice_has_at_most_the_chunks_asked_for(world: &World) {
    world.write("s", &["a", "b", "c", "d"]);
    let slice = world.slice("s", 1, 2);
    assert_eq!(texts(&slice), ["b", "c"]);
    assert_eq!((slice.from, slice.count), (1, 4));
    assert_eq!(texts(&world.slice("s", 3, 2)), ["d"]);
}

fn a_negative_index_counts_from_the_end_and_stops_at_the_start(world: &World) {
    world.write("s", &["a", "b", "c"]);
    let slice = world.slice("s", -2, 100);
    assert_eq!((texts(&slice), slice.from), (vec!["b", "c"], 1));
    let slice = world.slice("s", -3, 100);
    assert_eq!((texts(&slice), slice.from), (vec!["a", "b", "c"], 0));
    let slice = world.slice("s", i64::MIN + 3, 1);
    assert_eq!((texts(&slice), slice.from), (vec!["a"], 0));
    world.close_stream("s");
    // The end of the stream is not a chunk.
    let slice = world.slice("s", -1, 100);
    assert_eq!((texts(&slice), slice.from, slice.closed), (vec!["c"], 2, true));
}

fn a_slice_past_the_end_is_empty_and_says_whether_the_stream_is_closed(world: &World) {
    world.write("s", &["a"]);
    for from in [1, 2, i64::MAX] {
        let slice = world.slice("s", from, 100);
        assert_eq!((slice.chunks.len(), slice.count, slice.closed), (0, 1, false));
    }
    world.close_stream("s");
    for from in [1, 2, i64::MAX] {
        let slice = world.slice("s", from, 100);
        assert_eq!((slice.chunks.len(), slice.count, slice.closed), (0, 1, true));
    }
}

fn a_stream_that_nobody_wrote_is_empty_and_open(world: &World) {
    for from in [-5, 0, 5] {
        let slice = world.slice("s", from, 100);
        let expected = StreamSlice { from: from.max(0), ..StreamSlice::default() };
        assert_eq!(slice, expected);
    }
}

fn a_closed_stream_keeps_its_chunks_and_ignores_later_ones(world: &World) {
    world.write("s", &["a"]);
    world.close_stream("s");
    world.write("s", &["late"]);
    let slice = world.slice("s", 0, 100);
    assert_eq!((texts(&slice), slice.count, slice.closed), (vec!["a"], 1, true));
}

fn a_stream_may_be_closed_twice_and_without_a_chunk(world: &World) {
    world.close_stream("s");
    world.close_stream("s");
    let slice = world.slice("s", 0, 100);
    assert_eq!((slice.chunks.len(), slice.count, slice.closed), (0, 0, true));
}

fn chunks_keep_every_byte_and_may_be_empty(world: &World) {
    let chunks: Vec<Vec<u8>> = vec![(0..=255).collect(), Vec::new(), vec![0xff; 200_000]];
    settled(|done| world.store.write_stream("s".into(), run_id(1), chunks.clone(), done))
        .expect("the chunks are written");
    assert_eq!(world.slice("s", 0, 100).chunks, chunks);
}

fn a_write_of_no_chunks_opens_the_stream(world: &World) {
    world.write("s", &[]);
    let names = settled(|done| world.store.streams_of_run(run_id(1), done));
    assert_eq!(names, Ok(vec!["s".to_owned()]));
    assert_eq!(world.slice("s", 0, 100), StreamSlice::default());
}

fn streams_do_not_need_a_run(world: &World) {
    // A health check answers in a stream under a run id that never existed.
    assert_eq!(
        settled(|done| world.store.run_by_id(&run_id(1)).settle(done))
            .expect_err("it never was")
            .kind,
        hookline::error::ErrorKind::RunNotFound
    );
    world.write("__health_check__1", &["ok"]);
    assert_eq!(texts(&world.slice("__health_check__1", 0, 1)), ["ok"]);
}

fn a_run_lists_its_streams_in_the_order_of_their_creation(world: &World) {
    for name in ["b", "a", "c"] {
        world.write(name, &["x"]);
    }
    world.write("a", &["again"]);
    settled(|done| world.store.close_stream("d".into(), run_id(2), done)).expect("it is closed");
    let names = |run| settled(|done| world.store.streams_of_run(run_id(run), done));
    assert_eq!(names(1), Ok(vec!["b".to_owned(), "a".to_owned(), "c".to_owned()]));
    assert_eq!(names(2), Ok(vec!["d".to_owned()]));
    assert_eq!(names(3), Ok(Vec::new()));
}

fn a_stream_belongs_to_the_run_that_opened_it(world: &World) {
    world.write("s", &["a"]);
    let chunks = vec![b"b".to_vec()];
    settled(|done| world.store.write_stream("s".into(), run_id(2), chunks, done))
        .expect("the chunk is written");
    assert_eq!(texts(&world.slice("s", 0, 100)), ["a", "b"]);
    let names = settled(|done| world.store.streams_of_run(run_id(2), done));
    assert_eq!(names, Ok(Vec::new()));
}

fn concurrent_writers_lose_no_chunk(world: &World) {
    const WRITERS: usize = 6;
    const EACH: usize = 30;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for number in 0..EACH {
                    world.write("s", &[&format!("{writer} {number}")]);
                }
            });
        }
    });
    let slice = world.slice("s", 0, WRITERS * EACH + 1);
    assert_eq!(slice.chunks.len(), WRITERS * EACH);
    for writer in 0..WRITERS {
        let prefix = format!("{writer} ");
        let of_writer: Vec<_> =
            texts(&slice).into_iter().filter(|text| text.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..EACH).map(|number| format!("{prefix}{number}")).collect();
        assert_eq!(of_writer, expected);
    }
}

fn a_slice_may_be_as_large_as_a_page(world: &World) {
    let chunks: Vec<Vec<u8>> =
        (0..LIMIT_MAX + 1).map(|number| number.to_string().into_bytes()).collect();
    settled(|done| world.store.write_stream("s".into(), run_id(1), chunks.clone(), done))
        .expect("the chunks are written");
    assert_eq!(world.slice("s", 0, LIMIT_MAX).chunks, chunks[..LIMIT_MAX]);
    assert_eq!(world.slice("s", LIMIT_MAX as i64, LIMIT_MAX).chunks, chunks[LIMIT_MAX..]);
}
