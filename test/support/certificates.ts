/** A certificate authority and what it signs, made with openssl as the operation guide does; skip where it is missing. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Why tests that need certificates are skipped; undefined where openssl is installed. */
export const certificatesMissing: string | undefined =
  spawnSync("openssl", ["version"]).status === 0 ? undefined : "openssl is not installed";

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface SignOptions {
  /** `serverAuth`, `clientAuth`. */
  readonly usage?: readonly string[];
  /** `DNS:localhost`, `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  /** Default: a common name. */
  readonly subject?: "commonName" | "organization";
  /** The certificate ended yesterday. */
  readonly isExpired?: boolean;
}

export class CertificateAuthority {
  readonly folder: string;
  readonly cert: string;

  /** @param folder - exists; the authority lives in a folder `name` inside it. */
  constructor(folder: string, name = "ca") {
    this.folder = join(folder, name);
    mkdirSync(this.folder);
    this.cert = this.#path("ca.crt");
    openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", this.#path("ca.key")]);
    const subject = ["-subj", `/CN=${name}`];
    openssl(["req", "-x509", "-new", "-key", this.#path("ca.key"), ...subject, "-days", "365", "-out", this.cert]);
    writeFileSync(this.#path("index.txt"), "");
    writeFileSync(this.#path("index.txt.attr"), "unique_subject = no\n");
    writeFileSync(this.#path("serial"), "1000\n");
    writeFileSync(this.#path("crlnumber"), "01\n");
  }

  /** @param name - what the subject is called, and the files. */
  sign(name: string, options: SignOptions = {}): Pair {
    const { usage = ["clientAuth"], names = [], isExpired = false, subject = "commonName" } = options;
    const [key, request, cert] = ["key", "csr", "crt"].map((end) => this.#path(`${name}.${end}`));
    openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
    openssl([
      "req",
      "-new",
      "-key",
      key,
      "-subj",
      `/${subject === "commonName" ? "CN" : "O"}=${name}`,
      "-out",
      request,
    ]);
    const extensions = [`extendedKeyUsage=${usage.join(",")}`];
    if (names.length > 0) extensions.push(`subjectAltName=${names.join(",")}`);
    const dates = isExpired ? ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] : ["-days", "30"];
    const config = this.#config(extensions);
    openssl(["ca", "-batch", "-notext", "-config", config, ...dates, "-in", request, "-out", cert]);
    return { cert, key };
  }

  /** Revokes and writes the list anew. @returns the list's path: always the same. */
  revoke(pair?: Pair, form: "der" | "pem" = "der"): string {
    const config = this.#config([]);
    if (pair !== undefined) openssl(["ca", "-batch", "-config", config, "-revoke", pair.cert]);
    const [text, list] = [this.#path("crl.pem"), this.#path("crl")];
    openssl(["ca", "-batch", "-config", config, "-gencrl", "-crldays", "30", "-out", text]);
    if (form === "pem") writeFileSync(list, readFileSync(text));
    else openssl(["crl", "-in", text, "-outform", "DER", "-out", list]);
    return list;
  }

  #config(extensions: readonly string[]): string {
    const path = this.#path("ca.cnf");
    writeFileSync(
      path,
      [
        "[ca]\ndefault_ca = own\n[own]",
        `database = ${this.#path("index.txt")}`,
        `serial = ${this.#path("serial")}`,
        `crlnumber = ${this.#path("crlnumber")}`,
        `new_certs_dir = ${this.folder}`,
        `certificate = ${this.cert}`,
        `private_key = ${this.#path("ca.key")}`,
        "default_md = sha256\npolicy = any\nx509_extensions = leaf",
        "[any]\ncommonName = optional\norganizationName = optional\n[leaf]",
        ...extensions,
      ].join("\n"),
    );
    return path;
  }

  #path(name: string): string {
    return join(this.folder, name);
  }
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")} failed:\n${stderr}`);
}
