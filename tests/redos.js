// Judge the regular expressions on standard input with recheck: [[source, flags], …] gives [{status, attack}, …].
// Run by redos.py with the address of recheck. The seed makes every run the same, on a slow machine, too.
const { recheck } = await import(Deno.args[0]);
const wanted = JSON.parse(await new Response(Deno.stdin.readable).text());
const judged = wanted.map(([source, flags]) => {
  const { status, attack, error } = recheck.checkSync(source, flags, { randomSeed: 1, timeout: 600000 });
  return { status, attack: attack?.pattern ?? error?.message ?? "" };
});
console.log(JSON.stringify(judged));
