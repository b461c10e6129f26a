// Writes store_metrics.json: runs an application of Kafka Streams 4.3.1 at DEBUG for four seconds and lists the metrics of its stores and of
// the thread of its global stores. LIBS: a folder with the jars of kafka-streams, those it needs, and jackson-databind.
//   scripts/kafka up; java -cp "$LIBS/*" tests/golden/StoreMetrics.java HOST:PORT | gzip -9n > tests/data/golden/store_metrics.json.gz
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.Stores;

public class StoreMetrics {
    static final Serde<String> TEXT = Serdes.String();
    static final Duration SECOND = Duration.ofSeconds(1);

    static Topology topology(String app) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<String, String> texts = Consumed.with(TEXT, TEXT);
        KStream<String, String> stream = builder.stream(app + "-in", texts), other = builder.stream(app + "-in2", texts);
        GlobalKTable<String, String> global = builder.globalTable(app + "-g", texts, Materialized.as("global-disk"));
        GlobalKTable<String, String> inMemory = builder.globalTable(app + "-g2", texts, Materialized.as(Stores.inMemoryKeyValueStore("global-mem")));
        stream.join(global, (key, value) -> key, (value, row) -> value + row)
            .leftJoin(inMemory, (key, value) -> key, (value, row) -> value).to(app + "-out");
        JoinWindows near = JoinWindows.ofTimeDifferenceAndGrace(SECOND, Duration.ZERO);
        stream.outerJoin(other, (left, right) -> left, near,
            StreamJoined.with(TEXT, TEXT, TEXT).withName("room-disk").withStoreName("room-disk")).foreach((key, value) -> { });
        Duration kept = SECOND.multipliedBy(2);
        StreamJoined<String, String, String> inRoom = StreamJoined.with(
            Stores.inMemoryWindowStore("m1", kept, kept, true), Stores.inMemoryWindowStore("m2", kept, kept, true));
        stream.leftJoin(other, (left, right) -> left, near,
            inRoom.withKeySerde(TEXT).withValueSerde(TEXT).withOtherValueSerde(TEXT).withName("room-mem")).foreach((key, value) -> { });
        KTable<String, String> history = builder.table(app + "-vt", texts,
            Materialized.as(Stores.persistentVersionedKeyValueStore("versioned", Duration.ofHours(1))));
        stream.join(history, (value, row) -> value, Joined.with(TEXT, TEXT, TEXT, "grace", SECOND)).foreach((key, value) -> { });
        KTable<String, String> lefts = builder.table(app + "-l", texts), rights = builder.table(app + "-r", texts);
        lefts.join(rights, value -> value, (left, right) -> left + right, TableJoined.as("fk")).toStream().foreach((key, value) -> { });
        stream.groupByKey().count(Materialized.as("cnt"))
            .suppress(Suppressed.untilTimeLimit(SECOND, Suppressed.BufferConfig.maxRecords(10)).withName("sup"))
            .toStream().foreach((key, value) -> { });
        return builder.build();
    }

    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0], app = "golden-" + System.nanoTime() % 100000;
        Properties config = new Properties();
        config.putAll(Map.of("application.id", app, "bootstrap.servers", brokers, "metrics.recording.level", "DEBUG", "commit.interval.ms", "200",
            "default.key.serde", TEXT.getClass().getName(), "default.value.serde", TEXT.getClass().getName(),
            "state.dir", Files.createTempDirectory("golden").toString()));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers));
             KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", brokers), new StringSerializer(), new StringSerializer());
             KafkaStreams streams = new KafkaStreams(topology(app), config)) {
            List<NewTopic> topics = new ArrayList<>();
            for (String name : List.of("in", "in2", "g", "g2", "vt", "out", "l", "r"))
                topics.add(new NewTopic(app + "-" + name, name.startsWith("g") ? 2 : 1, (short) 1));
            admin.createTopics(topics).all().get();
            long now = System.currentTimeMillis();
            for (String name : List.of("g", "g2", "vt", "r"))
                for (int i = 0; i < 4; i++) producer.send(new ProducerRecord<>(app + "-" + name, null, now, "k" + i, "v"));
            producer.flush();
            streams.start();
            while (streams.state() != KafkaStreams.State.RUNNING) Thread.sleep(50);
            for (int i = 0; i < 30; i++) {
                producer.send(new ProducerRecord<>(app + "-in", 0, now + i * 500L, "k" + i % 4, "v" + i));
                if (i % 3 == 0) producer.send(new ProducerRecord<>(app + "-in2", 0, now + i * 500L, "k" + i % 4, "w"));
                producer.send(new ProducerRecord<>(app + "-l", 0, now, "l" + i, "k" + i % 4));
                for (String name : List.of("g", "g2")) producer.send(new ProducerRecord<>(app + "-" + name, null, now + i, "k" + i % 4, "z"));
            }
            producer.send(new ProducerRecord<>(app + "-g", 1, now, null, "null key"));
            producer.flush();
            Thread.sleep(4000);
            System.out.println(new ObjectMapper().writeValueAsString(list(streams, app)));
        }
        System.exit(0);
    }

    /** Stores and their names; `at_work` are the operations that were counted. */
    static Map<String, Object> list(KafkaStreams streams, String app) {
        Map<String, Metric> all = new TreeMap<>();
        streams.metrics().values().forEach(metric -> all.put(metric.metricName().toString(), metric));
        Map<String, Map<String, Object>> stores = new TreeMap<>();
        List<Object> thread = new ArrayList<>();
        for (Metric metric : all.values()) {
            MetricName name = metric.metricName();
            Map<String, String> tags = name.tags();
            boolean global = tags.getOrDefault("thread-id", "").endsWith("GlobalStreamThread");
            boolean counted = metric.metricValue() instanceof Number number && number.doubleValue() != 0 && !Double.isNaN(number.doubleValue());
            String task = tags.get("task-id");
            if (name.group().equals("stream-state-metrics")) {
                String tag = tags.keySet().stream().filter(key -> key.endsWith("-state-id")).findFirst().get();
                Map<String, Object> store = stores.computeIfAbsent(tags.get(tag).replace(app, "app"), key -> new LinkedHashMap<>(Map.of(
                    "store", key, "tag", tag, "task", task, "global_thread", global, "names", new ArrayList<>(), "at_work", new ArrayList<>())));
                add(store, "names", name.name());
                boolean operation = name.name().matches("(put|put-if-absent|get|all|range|delete|fetch|remove|commit|prefix-scan)-rate");
                if (operation && counted) add(store, "at_work", name.name());
            } else if (global && task != null && !task.isEmpty() && !name.group().equals("stream-record-cache-metrics")) {
                Map<String, Object> entry = new LinkedHashMap<>(Map.of("group", name.group(), "name", name.name(), "task", task, "at_work", counted));
                entry.put("node", tags.get("processor-node-id"));
                thread.add(entry);
            }
        }
        Map<String, Object> file = new LinkedHashMap<>();
        file.put("kafka_version", "4.3.1");
        file.put("set", "store_metrics");
        file.put("about", "metrics of each store of a small running application at DEBUG, and of the thread of its global stores");
        file.put("stores", stores.values());
        file.put("global_thread", thread);
        return file;
    }

    @SuppressWarnings("unchecked")
    static void add(Map<String, Object> store, String field, String name) {
        ((List<String>) store.get(field)).add(name);
    }
}
