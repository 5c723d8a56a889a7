//! Opens a store: for reading and writing, or only for reading.

use std::sync::Arc;

use super::claims::Lanes;
use super::cleaning::Cleaning;
use super::clock::{DatabaseClock, DatabaseTime, TestTime};
use super::connect::{ANSWER_WITHIN, Connector, LONG_ANSWER_WITHIN};
use super::db::{Columns, Db, values};
use super::hosts_time::HostsTime;
use super::location::SessionAt;
use super::look_ups::LookUps;
use super::particulars::Suspects;
use super::reader::Reader;
use super::session::{Session, SessionState, Way};
use super::writer::{Writer, WriterState};
use super::{
    MigrateRequest, Migrated, PostgresLocation, PostgresOptions, PostgresStore, fault, migrate,
    queue_time, releases,
};
use crate::clock::Clock;
use crate::crypto::{DELIVERY_SECRET_LENGTH, DeliverySecret};
use crate::entropy::{self, Entropy};
use crate::error::{ErrorKind, WorldError};
use crate::store::listeners::Listeners;
use crate::store::queue_time::QueueTime;

fn no_thread(error: std::io::Error) -> WorldError {
    WorldError::new(ErrorKind::CannotOpen, format!("no thread could be started: {error}"))
}

/// What the database says of itself.
struct Known {
    secret: DeliverySecret,
    reached_ms: i64,
    /// Begins its queue names.
    workflow_prefix: String,
}

/// The clock of the store: the database's, or that of a test.
fn clocks(
    options: &PostgresOptions,
    hosts_time: &Arc<HostsTime>,
) -> (Arc<dyn Clock>, Arc<dyn DatabaseTime>) {
    match &options.clock {
        Some(clock) => (Arc::clone(clock), Arc::new(TestTime(Arc::clone(clock)))),
        None => {
            let clock = Arc::new(DatabaseClock::new(Arc::clone(hosts_time)));
            (Arc::clone(&clock) as Arc<dyn Clock>, clock)
        }
    }
}

async fn look(
    db: &Db,
    options: &PostgresOptions,
    (clock, time): (&dyn Clock, &dyn DatabaseTime),
    reads_only: bool,
) -> Result<Known, WorldError> {
    const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    const SECRET: &str = "SELECT secret FROM hookline.delivery_secret";
    const KEEP_SECRET: &str = "INSERT INTO hookline.delivery_secret VALUES (1, $1) \
         ON CONFLICT (only_row) DO NOTHING";
    migrate::check_server(db).await?;
    if let Some(row) = db.first(TIME, &[]).await? {
        time.is(Columns::of(&row).take()?);
    }
    let mut workflow_prefix = options.workflow_prefix.clone();
    if reads_only || !options.migrates {
        migrate::check(db).await?;
    } else {
        migrate::migrate(db).await?;
    }
    if !reads_only {
        let fresh = entropy::secret_bytes::<DELIVERY_SECRET_LENGTH>();
        db.execute(KEEP_SECRET, &values![&fresh[..]]).await?;
        workflow_prefix = agree_on_queue_names(db, options).await?;
        if let Some(release) = &options.release {
            db.write(&releases::note(release, clock.now_ms())).await?;
        }
    }
    let row = db.first(SECRET, &[]).await?.ok_or_else(|| fault::damage("no secret"))?;
    let secret: Vec<u8> = Columns::of(&row).take()?;
    let secret = secret.try_into().map_err(|_| fault::damage("a secret of another length"))?;
    let reached_ms = queue_time::reached_ms(db).await?;
    Ok(Known { secret: DeliverySecret::new(secret), reached_ms, workflow_prefix })
}

/// Stores, checks or takes the queue's namespace. No worker would deliver a wake-up of another one.
async fn agree_on_queue_names(db: &Db, options: &PostgresOptions) -> Result<String, WorldError> {
    const KEEP: &str = "INSERT INTO hookline.queue_names VALUES (1, $1) \
         ON CONFLICT (only_row) DO NOTHING";
    const KEPT: &str = "SELECT workflow_prefix FROM hookline.queue_names";
    let workflow_prefix = &options.workflow_prefix;
    db.execute(KEEP, &values![workflow_prefix]).await?;
    let row = db.first(KEPT, &[]).await?.ok_or_else(|| fault::damage("no queue names"))?;
    let kept: String = Columns::of(&row).take()?;
    match kept == *workflow_prefix || options.takes_queue_names {
        true => Ok(kept),
        false => Err(crate::store::other_queue_names(workflow_prefix, &kept)),
    }
}

impl PostgresStore {
    /// Opens the database. Makes the schema if there is none. Blocks.
    ///
    /// # Errors
    /// Each with the database and the remedy: `CannotOpen`, `ReadOnly`, `NewerDatabase`, `ForeignFile`,
    /// `BadConfig`, `Busy`, `StorageFull`.
    pub fn open(options: PostgresOptions) -> Result<Self, WorldError> {
        Self::open_as(options, false)
    }

    /// Opens an existing database only for reading, on a standby too. Every write is refused. Blocks.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn open_to_read(options: PostgresOptions) -> Result<Self, WorldError> {
        Self::open_as(options, true)
    }

    /// Makes the schema, or brings it up to date, without opening it for an app. Blocks.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn migrate(
        location: &PostgresLocation,
        request: &MigrateRequest,
    ) -> Result<Migrated, WorldError> {
        let shown = location.shown();
        let connector = Connector::new(location, request.only_shows)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(no_thread)?.block_on(async {
            let db = connector.connect("migrates", LONG_ANSWER_WITHIN).await?;
            migrate::check_server(&db).await.map_err(|error| fault::at(error, &shown))?;
            let migrated = migrate::by_hand(&db, request).await;
            migrated.map_err(|error| fault::at(error, &shown))
        })
    }

    fn open_as(options: PostgresOptions, reads_only: bool) -> Result<Self, WorldError> {
        let shown = options.location.shown();
        let connector = Connector::new(&options.location, reads_only)?;
        let hosts_time = Arc::<HostsTime>::default();
        let (clock, time) = clocks(&options, &hosts_time);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let known = runtime.map_err(no_thread)?.block_on(async {
            let db = connector.connect("opens", LONG_ANSWER_WITHIN).await?;
            let known = look(&db, &options, (&*clock, &*time), reads_only).await;
            known.map_err(|error| fault::at(error, &shown))
        })?;
        let queue_time = Arc::new(QueueTime::new(&*clock));
        queue_time.now_at_least_ms(&*clock, known.reached_ms);
        let (entropy, listeners) = (Arc::new(Entropy::default()), Arc::<Listeners>::default());
        let me = entropy.owner_name();
        let way = match options.location.apart() {
            Some(location) => Way::Apart(Box::new(Connector::new(&location, reads_only)?)),
            None if options.location.session == SessionAt::Nowhere => Way::Without,
            None => Way::AsAll,
        };
        let session = Session::start(SessionState {
            connector: connector.clone(),
            way,
            clock: Arc::clone(&clock),
            me: me.clone(),
            listeners: Arc::clone(&listeners),
        });
        let session = Arc::new(session.map_err(no_thread)?);
        let reader =
            |name, within| Reader::start(connector.clone(), name, within).map_err(no_thread);
        let keys = Arc::new(reader("hookline-postgres-keys", ANSWER_WITHIN)?);
        let lists = reader("hookline-postgres-lists", LONG_ANSWER_WITHIN)?;
        let environment = options.environment.clone();
        let writer = match reads_only {
            // A status below 500, because a retry would not help.
            true => Writer::refusing(crate::store::only_reads().with("status", 400)),
            false => Writer::start(WriterState {
                connector: connector.clone(),
                clock: Arc::clone(&clock),
                time,
                queue_time: Arc::clone(&queue_time),
                suspects: Suspects::default(),
                lanes: Lanes::default(),
                cleaning: Cleaning::new(connector.clone()),
                session: Arc::clone(&session),
                me: me.clone(),
                entropy,
                environment: options.environment,
                workflow_prefix: known.workflow_prefix,
                release: options.release,
                full_durability: options.full_durability,
                listeners: Arc::clone(&listeners),
            })
            .map_err(no_thread)?,
        };
        let writer = Arc::new(writer);
        let secret = known.secret;
        Ok(Self {
            writer,
            connector,
            look_ups: LookUps::new(Arc::clone(&keys), Arc::clone(&clock)),
            keys,
            lists,
            session,
            listeners,
            clock,
            queue_time,
            hosts_time,
            environment,
            me,
            secret,
        })
    }
}
