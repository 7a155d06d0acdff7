/** A path without empty and dot segments, as Go's router wants it; a slash at the end stays. */
export function cleanPath(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const last = segments[segments.length - 1];
  const isFolder = last === "" || last === "." || last === "..";
  return isFolder && kept.length > 0 ? `/${kept.join("/")}/` : `/${kept.join("/")}`;
}
