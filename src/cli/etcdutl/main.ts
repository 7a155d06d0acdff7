/** `etcdutl`. */
import { runProgram } from "../shared/run-program.ts";
import { program } from "./program.ts";

void runProgram(program, () => undefined);
