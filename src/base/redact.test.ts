import { expect, test } from "vitest";
import { redactArguments, redactVariable } from "./redact.ts";

test("a password on the command line is not repeated, whichever way it is given", () => {
  expect(redactArguments(["etcd", "--discovery-password=a=b", "--name=x"])).toEqual([
    "etcd",
    "--discovery-password=xxxxx",
    "--name=x",
  ]);
  expect(redactArguments(["-discovery-password", "s3cret", "--name", "y"])).toEqual([
    "-discovery-password",
    "xxxxx",
    "--name",
    "y",
  ]);
});

test("nor is one within a URL, or in the environment", () => {
  expect(redactArguments(["--initial-cluster=a=http://u:p@h:1,b=http://u2:p2@i:2"])).toEqual([
    "--initial-cluster=a=http://xxxxx@h:1,b=http://xxxxx@i:2",
  ]);
  expect(redactVariable("ETCD_DISCOVERY_PASSWORD", "s3cret")).toBe("xxxxx");
  expect(redactVariable("ETCD_ROOT_PASSWORD", "s3cret")).toBe("xxxxx");
  expect(redactVariable("ETCD_LISTEN_CLIENT_URLS", "http://h:1")).toBe("http://h:1");
});
