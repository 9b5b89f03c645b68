/**
 * The images whose starts are measured: real programs out of Debian's packages, on a base and the
 * tools that the common images of languages bring along.
 * @module
 */
import {
  type Image,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../support/images/mod.ts";
import { PackageLayers } from "./packages.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

const ESSENTIAL = [
  ...["apt", "base-files", "base-passwd", "bash", "bsdutils"],
  ...["ca-certificates", "coreutils", "dash", "debianutils", "diffutils"],
  ...["dpkg", "findutils", "grep", "gzip", "hostname", "init-system-helpers"],
  ...["libc-bin", "login", "mawk", "ncurses-base", "ncurses-bin"],
  ...["perl-base", "sed", "sysvinit-utils", "tar", "util-linux"],
];
const FETCH = ["curl", "git", "gnupg", "perl", "procps"];
const BUILD = ["build-essential", "python3"];

interface Recipe {
  /** Groups of packages, a layer each, on the base. */
  readonly groups: ReadonlyArray<readonly [name: string, string[]]>;
  /** Run in the image at its end. */
  readonly finish: string;
  /** Files of the last layer. */
  readonly app: Readonly<Record<string, string>>;
}

const TOOLS = [["fetch", FETCH], ["build", BUILD]] as const satisfies Array<
  readonly [string, string[]]
>;
const USERS = `cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
echo postgres:x:999:999::/var/lib/pgdata:/bin/sh >> /etc/passwd
echo postgres:x:999: >> /etc/group
mkdir -p /tmp /run && chmod 1777 /tmp
ldconfig
`;
const JDK = "/usr/lib/jvm/java-17-openjdk-amd64/bin";
/** What update-alternatives would lead to. */
const BLAS = `cd /usr/lib/x86_64-linux-gnu
ln -s blas/libblas.so.3 lapack/liblapack.so.3 .
`;

const javaClass = (name: string, body: string) =>
  `cat > /tmp/${name}.java <<'END'
public class ${name} {
  public static void main(String[] args) { ${body} }
}
END
${JDK}/javac -d /app /tmp/${name}.java; rm /tmp/${name}.java
`;

const nginxConf = (port: number, body: string) =>
  `daemon off;
events {}
http {
  access_log off;
  server { listen 127.0.0.1:${port}; location / { return 200 "${body}"; } }
}
`;

const RECIPES: Readonly<Record<Name, Recipe>> = {
  redis: {
    groups: [
      ...TOOLS,
      ["postgres", ["postgresql-15"]],
      ["nginx", ["nginx-extras"]],
      ["redis", ["redis-server"]],
    ],
    finish: USERS,
    app: { "etc/motd": "redis\n" },
  },
  java: {
    groups: [...TOOLS, ["java", ["openjdk-17-jdk-headless"]]],
    finish: `${USERS}mkdir /app
${javaClass("Hello", 'System.out.println("ready " + args.length);')}
${
      javaClass(
        "Greeting",
        'String text = "ready"; System.out.println(text + " and well");',
      )
    }
${JDK}/java -Xshare:dump`,
    app: { "etc/motd": "java\n" },
  },
  node: {
    groups: [...TOOLS, ["node", ["nodejs", "npm", "node-express"]]],
    finish: USERS,
    app: {
      "app/server.js": `const app = require("express")();
app.get("/", (_, answer) => answer.send("hello"));
app.listen(Number(process.argv[2]), "127.0.0.1");
`,
      "app/other.js": `const express = require("express");
const server = express();
server.use(express.json());
server.get("/", (_, answer) => answer.json({ hello: "world" }));
server.listen(Number(process.argv[2]), "127.0.0.1");
`,
    },
  },
  python: {
    groups: [
      ...TOOLS,
      ["numpy", ["python3-numpy"]],
      ["science", ["python3-scipy", "python3-pandas"]],
      ["more", ["python3-matplotlib", "python3-sklearn"]],
    ],
    finish: USERS + BLAS,
    app: {
      "app/job.py": `import numpy, scipy.linalg, pandas
print("ready", len(pandas.DataFrame({"a": [1, 2]})), flush=True)
`,
      "app/other.py": `import pandas as pd
import numpy as np
from scipy import linalg
print("ready", linalg.det(np.eye(3)), pd.Series([1, 2]).sum(), flush=True)
`,
    },
  },
  nginx: {
    groups: [...TOOLS, ["nginx", ["nginx-extras"]]],
    finish: USERS,
    app: {
      "app/recorded.conf": nginxConf(
        WORKLOADS.nginx.recorded.port!,
        "recorded",
      ),
      "app/measured.conf": nginxConf(
        WORKLOADS.nginx.measured.port!,
        "measured",
      ),
    },
  },
  postgres: {
    groups: [["postgres", ["postgresql-15"]]],
    finish: `${USERS}install -d -o 999 -g 999 -m 700 /var/lib/pgdata
setpriv --reuid=999 --regid=999 --clear-groups \\
  /usr/lib/postgresql/15/bin/initdb -D /var/lib/pgdata -U postgres -A trust \\
  --no-locale > /dev/null`,
    app: { "etc/motd": "postgres\n" },
  },
};

/** An image; its layers are kept on disk between runs. @throws Error without Debian's archive */
export async function coldStartImage(name: Name): Promise<Image> {
  const { groups, finish, app } = RECIPES[name];
  const packages = new PackageLayers();
  const layers = [await packages.add("base", ESSENTIAL)];
  for (const [group, wanted] of groups) {
    layers.push(await packages.add(group, wanted));
  }
  layers.push(await packages.finish("finished", finish));
  const tar = new TarBuilder();
  for (const [path, text] of Object.entries(app)) tar.file(path, text);
  return makeImage({
    layers: [...layers, layerBlob(tar)],
    config: {
      env: [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE=1",
      ],
      cmd: [...WORKLOADS[name].measured.args],
    },
  });
}
