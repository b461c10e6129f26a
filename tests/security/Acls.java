// Grants ACLs: a line each on standard input, `principal resource name LITERAL|PREFIXED operation`, separated by tabs.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.utils.SecurityUtils;

public class Acls {
    public static void main(String[] arguments) throws Exception {
        List<AclBinding> bindings = new ArrayList<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split("\t");
            ResourceType type = SecurityUtils.resourceType(parts[1]);
            AclOperation operation = SecurityUtils.operation(parts[4]);
            ResourcePattern resource = new ResourcePattern(type, parts[2], PatternType.valueOf(parts[3]));
            bindings.add(new AclBinding(resource, new AccessControlEntry(parts[0], "*", operation, AclPermissionType.ALLOW)));
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            admin.createAcls(bindings).all().get();
        }
    }
}
