// SPDX-License-Identifier: Apache-2.0
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * Starts one OpenSearch node and keeps it until standard input ends.
 *
 * <pre>java -cp 'DIRECTORY/node/*' Main HOME [HTTP_PORT] [SETTING=VALUE ...]</pre>
 *
 * HOME is made when it is missing and holds the data: a second start with the same HOME finds it
 * again. HTTP_PORT 0 (the default) takes a free one. Prints "port N" when requests are served.
 */
public final class Main {
  private static final class TestNode extends Node {
    TestNode(Environment environment) {
      super(environment, List.of(Netty4Plugin.class), false);
    }

    int httpPort() {
      return injector()
          .getInstance(org.opensearch.http.HttpServerTransport.class)
          .boundAddress()
          .publishAddress()
          .getPort();
    }
  }

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    Files.createDirectories(home.resolve("config"));
    Settings.Builder settings =
        Settings.builder()
            .put("path.home", home)
            .put("cluster.name", "millrace-tests")
            .put("node.name", "node-1")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments.length > 1 && !arguments[1].equals("0") ? arguments[1] : "0")
            .put("transport.port", "0")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("node.processors", 2);
    for (int i = 2; i < arguments.length; ++i) {
      int split = arguments[i].indexOf('=');
      settings.put(arguments[i].substring(0, split), arguments[i].substring(split + 1));
    }
    TestNode node = new TestNode(new Environment(settings.build(), home.resolve("config")));
    node.start();
    node.client()
        .admin()
        .cluster()
        .prepareHealth()
        .setWaitForYellowStatus() // the data of an earlier run is there again
        .setTimeout(TimeValue.timeValueSeconds(60))
        .get();
    System.out.println("port " + node.httpPort());
    System.out.flush();
    while (System.in.read() >= 0) {}
    node.close();
    System.exit(0);
  }
}
