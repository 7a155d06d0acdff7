/** `etcd gateway` and `etcd grpc-proxy`: programs of their own behind the server's name, with cobra's command lines. */
import type { Program } from "../../shared/command.ts";
import { apiVersion, etcdVersion } from "../../shared/version.ts";
import { gatewayCommand } from "./gateway.ts";
import { grpcProxyCommand } from "./grpc-proxy.ts";

export const program: Program = {
  root: { name: "etcd", summary: "etcd server", commands: [gatewayCommand, grpcProxyCommand] },
  version: etcdVersion,
  apiVersion,
  style: "summarized",
};
