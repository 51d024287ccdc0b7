// SPDX-License-Identifier: Apache-2.0
package peer;

import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One random stream and what is to be done with it; the format stands in peer.cpp. */
public final class Script implements Serializable {
  /** A record, or a watermark when {@code mark} is set. */
  public static class Item implements Serializable {
    public int input;
    public boolean mark;
    public int key;
    public long time;
    public int value;
    public int id;
  }

  String name;
  String job;
  final Map<String, Long> parameters = new HashMap<>();
  final List<Item> items = new ArrayList<>();

  long get(String parameter) {
    return parameters.getOrDefault(parameter, 0L);
  }

  static Script read(Path file) throws IOException {
    Script script = new Script();
    script.name = file.getFileName().toString().replace(".script", "");
    for (String line : Files.readAllLines(file)) {
      String[] words = line.trim().split(" ");
      if (words[0].equals("job")) {
        script.job = words[1];
      } else if (words[0].equals("set")) {
        script.parameters.put(words[1], Long.parseLong(words[2]));
      } else {
        Item item = new Item();
        item.input = Integer.parseInt(words[1]);
        item.time = Long.parseLong(words[2]);
        item.mark = words[0].equals("watermark");
        if (!item.mark) {
          item.key = Integer.parseInt(words[3]);
          item.value = Integer.parseInt(words[4]);
          item.id = Integer.parseInt(words[5]);
        }
        script.items.add(item);
      }
    }
    return script;
  }
}
