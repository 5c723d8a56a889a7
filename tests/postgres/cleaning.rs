//! A busy queue is cleaned before the server's autovacuum looks.

use crate::kit::{PATIENCE, World, step_message};
use crate::server::{fresh_database, number_in, run_sql_in};

/// Deliveries after which a process looks for dead rows.
const LOOK_AFTER: usize = 20_000;

/// Lets a worker take so many messages of a queue that has many dead rows. The server cleans nothing by
/// itself.
fn take(world: &World, database: &str, count: usize) {
    world.enqueue(step_message("a"));
    run_sql_in(
        database,
        "ALTER TABLE hookline.messages SET (autovacuum_enabled = off);
         INSERT INTO hookline.messages SELECT m.* FROM hookline.messages AS one,
           generate_series(1, 70000) AS n, LATERAL jsonb_populate_record(one,
             jsonb_build_object('message_id', one.message_id + n)) AS m;
         DELETE FROM hookline.messages WHERE message_id NOT IN
           (SELECT message_id FROM hookline.messages ORDER BY message_id LIMIT 30000)",
    );
    let mut taken = 0;
    while taken < count {
        taken += world.claim(1000.min(count - taken)).len();
    }
}

fn vacuums(database: &str) -> i64 {
    let counts = "SELECT vacuum_count FROM pg_stat_all_tables \
         WHERE relid = 'hookline.messages'::regclass";
    number_in(database, counts)
}

#[test]
fn a_queue_is_cleaned_after_many_deliveries() {
    let database = "cleaned";
    let world = World::of(
        crate::open(&fresh_database(database)),
        std::sync::Arc::new(hookline::clock::ManualClock::at(crate::kit::rows::NOW_MS)),
    );
    take(&world, database, LOOK_AFTER);
    let started = std::time::Instant::now();
    while vacuums(database) == 0 {
        assert!(started.elapsed() < PATIENCE, "nobody has cleaned it");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
