// Judge the regular expressions on standard input with recheck: [[source, flags], …] gives [{status, attack}, …].
// Run by redos.py with the address of recheck. The seed makes every run the same, and so do the limits of time: recheck takes an
// expression that runs into one of them for vulnerable, which on a busy machine a good one does.
const { recheck } = await import(Deno.args[0]);
const wanted = JSON.parse(await new Response(Deno.stdin.readable).text());
const patient = 600000;
const options = { randomSeed: 1, timeout: patient, incubationTimeout: patient, attackTimeout: patient };
const judged = wanted.map(([source, flags]) => {
  const { status, attack, error } = recheck.checkSync(source, flags, options);
  return { status, attack: attack?.pattern ?? error?.message ?? "" };
});
console.log(JSON.stringify(judged));
