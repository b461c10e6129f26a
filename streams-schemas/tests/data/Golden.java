// Writes the Avro lines of golden.tsv with Java's Avro 1.11.3 (from Apicurio Registry's libraries), framed as Confluent documents.
//   C="$(scripts/registry fetch)/lib"; java -cp "$C/*" streams-schemas/tests/data/Golden.java
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

public class Golden {
    static final String ORDER = "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":["
        + "{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"cents\",\"type\":\"long\"},"
        + "{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null},"
        + "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"}},"
        + "{\"name\":\"state\",\"type\":{\"type\":\"enum\",\"name\":\"State\",\"symbols\":[\"Open\",\"Paid\"]}},"
        + "{\"name\":\"weight\",\"type\":\"double\"}]}";

    public static void main(String[] args) throws Exception {
        Schema schema = new Schema.Parser().parse(ORDER);
        line("avro-plain", 1, schema, order(schema, "a", 1, null, List.of(), "Open", 0.5));
        line("avro-full", 0x01020304, schema, order(schema, "größer", -123456789012L, "x", List.of("p", "", "q"), "Paid", -1e300));
        line("avro-string", 7, Schema.create(Schema.Type.STRING), "hé");
        line("avro-long", 7, Schema.create(Schema.Type.LONG), Long.MIN_VALUE);
    }

    static GenericRecord order(Schema schema, String id, long cents, String note, List<String> tags, String state, double weight) {
        GenericRecord record = new GenericData.Record(schema);
        record.put("id", id);
        record.put("cents", cents);
        record.put("note", note);
        record.put("tags", tags);
        record.put("state", new GenericData.EnumSymbol(schema.getField("state").schema(), state));
        record.put("weight", weight);
        return record;
    }

    static void line(String name, int id, Schema schema, Object value) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(0);
        out.write(ByteBuffer.allocate(4).putInt(id).array());
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<Object>(schema).write(value, encoder);
        encoder.flush();
        System.out.println(name + "\t" + HexFormat.of().formatHex(out.toByteArray()));
    }
}
