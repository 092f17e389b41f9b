/* Train digits on the chip behind Wishbone, and compare with what the golden model did (experiment.h). */

#include <stdint.h>

#include "experiment.h"
#include "opzo_bus.h"
#include "soc.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AT(address) (*(volatile uint32_t *)(address))
#define WORD(offset) AT(OPZO_BASE + (offset))
#define OPZO(name) WORD(OPZO_BUS_##name)

static void put(char letter)
{
    while (AT(UART_TXFULL)) {}
    AT(UART_RXTX) = letter;
}

static void print(const char *text)
{
    while (*text) put(*text++);
}

static void print_number(const char *text, uint32_t number)
{
    print(text);
    print("0x");
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[number >> shift & 15]);
    put('\n');
}

static void write_network(void)
{
    for (unsigned n = 0; n < COUNT(registers); n++) WORD(4 * registers[n][0]) = registers[n][1];
    for (unsigned n = 0; n < COUNT(written); n++) {
        OPZO(MEMORY_SPACE) = written[n].space;
        for (unsigned word = 0; word < ROW_WORDS; word++) WORD(OPZO_BUS_ROW + 4 * word) = written[n].words[word];
        OPZO(MEMORY_WRITE) = written[n].number;
    }
}

static uint32_t next_word(void)
{
    while (!(OPZO(STATUS) & OPZO_BUS_STATUS_RESULT_MASK)) {}
    uint32_t word = OPZO(RESULT);
    OPZO(RESULT_TAKE) = 0;
    return word;
}

static int train(void)
{
    const uint32_t *word = samples;
    int wrong = 0;
    for (unsigned n = 0; n < COUNT(lengths); n++) {
        for (unsigned left = lengths[n]; left > 1; left--) OPZO(SAMPLE) = *word++;
        OPZO(RUN) = *word++;
        for (int part = 0; part < 2; part++) {
            uint32_t found = next_word();
            if (found != results[n][part]) {
                print_number("sample ", n);
                print_number("  answers  ", found);
                print_number("  expected ", results[n][part]);
                wrong++;
            }
        }
    }
    return wrong;
}

static int compare_rows(void)
{
    int wrong = 0;
    for (unsigned n = 0; n < COUNT(expected); n++) {
        OPZO(MEMORY_SPACE) = expected[n].space;
        OPZO(MEMORY_READ) = expected[n].number;
        for (unsigned word = 0; word < ROW_WORDS; word++)
            if (WORD(OPZO_BUS_ROW + 4 * word) != expected[n].words[word]) {
                print_number("memory ", expected[n].space);
                print_number("  row ", expected[n].number);
                wrong++;
            }
    }
    return wrong;
}

int main(void)
{
    print("\nthe network is written\n");
    write_network();
    print_number("samples to train: ", COUNT(lengths));
    int wrong = train();
    print_number("rows to compare: ", COUNT(expected));
    wrong += compare_rows();
    print(wrong ? "FAILED\n" : "PASSED: all results and rows are those of the golden model\n");
    /* The last byte leaves the UART. */
    for (volatile int n = 0; n < 1000; n++) {}
    AT(SIM_FINISH_FINISH) = 1;
    return 0;
}
