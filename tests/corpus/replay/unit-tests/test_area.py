import unittest

from area import area


class AreaTest(unittest.TestCase):
    def test_of_a_rectangle(self):
        self.assertEqual(area(6, 7), 42)

    def test_of_an_unknown_unit(self):
        with self.assertRaises(ValueError):
            area(1, 1, "furlong")
