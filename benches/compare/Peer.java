import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** The Kafka Streams side of scripts/compare and scripts/bench-state: the same workloads, from the same environment, as our `workload`. */
public final class Peer {
    public static void main(final String[] args) throws InterruptedException {
        final Properties settings = new Properties();
        settings.put("application.id", System.getenv("APP_ID"));
        settings.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        settings.put("processing.guarantee", System.getenv("GUARANTEE"));
        settings.put("num.stream.threads", System.getenv("THREADS"));
        settings.put("state.dir", System.getenv("STATE_DIR"));
        settings.put("commit.interval.ms", System.getenv("COMMIT_MS"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("replication.factor", "1");
        settings.put("default.key.serde", Serdes.StringSerde.class.getName());
        settings.put("default.value.serde", Serdes.StringSerde.class.getName());
        final String extra = System.getenv("EXTRA");
        for (final String pair : extra == null || extra.isEmpty() ? new String[0] : extra.split(",")) {
            settings.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
        }

        final KafkaStreams streams = new KafkaStreams(topology(args[0]).build(settings), settings);
        streams.setGlobalStateRestoreListener(new RestoredLines());
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(3);
            }
        });
        final CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(30));
            closed.countDown();
        }));
        streams.start();
        closed.await();
    }

    /** Says what was restored in the words of our `workload`. */
    private static final class RestoredLines implements StateRestoreListener {
        private final long began = System.nanoTime();

        @Override
        public void onRestoreStart(final TopicPartition changelog, final String store, final long from, final long to) {
        }

        @Override
        public void onBatchRestored(final TopicPartition changelog, final String store, final long to, final long records) {
        }

        @Override
        public void onRestoreEnd(final TopicPartition changelog, final String store, final long records) {
            System.out.printf(Locale.ROOT, "%.3f restored %s %d %d%n", (System.nanoTime() - began) / 1e9,
                changelog.topic(), changelog.partition(), records);
        }
    }

    private static StreamsBuilder topology(final String workload) {
        final StreamsBuilder builder = new StreamsBuilder();
        final KStream<String, String> input = builder.stream(System.getenv("INPUT"));
        final String output = System.getenv("OUTPUT");
        switch (workload) {
            case "stateless" -> input
                .filter((key, value) -> value.length() > 4)
                .mapValues(value -> value.toUpperCase(Locale.ROOT))
                .to(output);
            case "wordcount" -> input
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word)
                .count(Materialized.as("counts"))
                .toStream()
                .to(output, Produced.with(Serdes.String(), Serdes.Long()));
            case "enrich" -> {
                final KTable<String, String> table = builder.table(System.getenv("TABLE"), Materialized.as("table"));
                input.leftJoin(table, (value, row) -> value + "|" + row).to(output);
            }
            case "kvstate" -> input
                .groupByKey()
                .aggregate(() -> "", (key, value, latest) -> {
                    final int count = latest.isEmpty() ? 0 : Integer.parseInt(latest.substring(0, latest.indexOf('|')));
                    return (count + 1) + "|" + value;
                }, Materialized.as("latest"))
                .toStream()
                .to(output);
            default -> throw new IllegalArgumentException("unknown workload " + workload);
        }
        return builder;
    }
}
