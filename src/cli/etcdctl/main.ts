/** `etcdctl`: the command line of an etcd cluster. */
import { runProgram } from "../shared/run-program.ts";
import { closeClients } from "./connect.ts";
import { program } from "./program.ts";

void runProgram(program, closeClients);
